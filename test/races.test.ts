import Sqlite from 'better-sqlite3';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';
import { ON_POSTGRES } from './kit/postgres.ts';

const SEND = `mutation ($uri: String!) {
  sendMessage(uri: $uri, message: "still here") { __typename ... on ChatMessage { id } }
}`;
const CREATE = `mutation ($listId: ID!) {
  createTodo(input: { title: "in a list", listId: $listId }) { __typename ... on ValidationError { fields { path message } } }
}`;
const MOVE = `mutation ($ids: [ID!]!, $listId: ID!) {
  updateTodos(ids: $ids, input: { listId: $listId }) { __typename ... on ValidationError { fields { path message } } }
}`;
const GONE = { __typename: 'ValidationError', fields: [{ path: 'listId', message: 'List does not exist.' }] };

let app: TestApp;
let ann: Person;
let ben: Person;

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  ben = await app.signUp('ben');
});
afterAll(async () => {
  await app.close();
});

/** Runs statements in a transaction of another program, and `meanwhile` before it commits. */
async function inOtherTransaction(statements: readonly string[], meanwhile: () => void): Promise<void> {
  if (ON_POSTGRES) {
    const client = new pg.Client({ connectionString: app.databaseEnv['DATABASE_URL'] });
    await client.connect();
    await client.query(['BEGIN', ...statements].join(';'));
    meanwhile();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await client.query('COMMIT');
    await client.end();
    return;
  }
  const file = new Sqlite(app.databasePath);
  file.exec(['PRAGMA foreign_keys = ON', 'BEGIN IMMEDIATE', ...statements].join(';'));
  meanwhile();
  await new Promise((resolve) => setTimeout(resolve, 300));
  file.exec('COMMIT');
  file.close();
}

/** Has a list vanish after it was checked, just before a todo is put into it. */
async function vanishing<Result>(listId: string, work: () => Promise<Result>): Promise<Result> {
  const create = ON_POSTGRES
    ? [
        `CREATE FUNCTION vanish() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM "TodoList" WHERE "id" = ${listId}; RETURN NEW; END $$`,
        'CREATE TRIGGER "a_vanish" BEFORE INSERT OR UPDATE ON "Todo" FOR EACH ROW EXECUTE FUNCTION vanish()',
      ]
    : ['INSERT', 'UPDATE'].map(
        (event) =>
          `CREATE TRIGGER "vanish_${event}" BEFORE ${event} ON "Todo" BEGIN DELETE FROM "TodoList" WHERE "id" = ${listId}; END`,
      );
  const remove = ON_POSTGRES
    ? ['DROP TRIGGER "a_vanish" ON "Todo"', 'DROP FUNCTION vanish()']
    : ['INSERT', 'UPDATE'].map((event) => `DROP TRIGGER "vanish_${event}"`);
  for (const statement of create) {
    await app.sql(statement);
  }
  try {
    return await work();
  } finally {
    for (const statement of remove) {
      await app.sql(statement);
    }
  }
}

async function newList(): Promise<string> {
  const { createTodoList } = await ann.gql(
    'mutation { createTodoList(input: { name: "short-lived" }) { ... on TodoList { id } } }',
  );
  return createTodoList.id;
}

describe('a list that vanishes between the check and the write', () => {
  it('should be reported as one that does not exist: createTodo', async () => {
    const listId = await newList();
    const { createTodo } = await vanishing(listId, () => ann.gql(CREATE, { listId }));
    expect(createTodo).toEqual(GONE);
  });

  it('should be reported as one that does not exist: updateTodos', async () => {
    const listId = await newList();
    const { createTodo } = await ann.gql('mutation { createTodo(input: { title: "a" }) { ... on Todo { id } } }');
    const { updateTodos } = await vanishing(listId, () => ann.gql(MOVE, { ids: [createTodo.id], listId }));
    expect(updateTodos).toEqual(GONE);
  });
});

describe('a message by a member who is being removed', () => {
  it('should not follow the removal', async () => {
    const { createChatSession } = await ann.gql('mutation { createChatSession { id uri } }');
    const { id, uri } = createChatSession;
    await ben.gql('mutation ($uri: String!) { joinChat(uri: $uri) { __typename } }', { uri });
    expect((await ben.gql(SEND, { uri })).sendMessage.__typename).toBe('ChatMessage');

    let sent: Promise<unknown> = Promise.resolve();
    const removal = `DELETE FROM "ChatMember" WHERE "chatSessionId" = ${id}`;
    await inOtherTransaction([removal], () => {
      sent = ben.gql(SEND, { uri });
    });
    expect(await sent).toEqual({ sendMessage: { __typename: 'NotFoundError' } });
    const messages = await app.sql('SELECT "id" FROM "ChatMessage" WHERE "chatSessionId" = ?', Number(id));
    expect(messages).toHaveLength(1);
  });
});
