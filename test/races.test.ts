import Sqlite from 'better-sqlite3';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { numberOf } from './kit/ids.ts';
import type { Person } from './kit/person.ts';
import { ON_POSTGRES } from './kit/postgres.ts';

const SEND = `mutation ($uri: String!) {
  sendMessage(uri: $uri, message: "still here") { __typename ... on ChatMessage { id } }
}`;
const JOIN = 'mutation ($uri: String!) { joinChat(uri: $uri) { __typename } }';
const ADD_BEN = 'mutation ($uri: String!) { addChatMembers(uri: $uri, usernames: ["ben"]) { __typename } }';
const ADD_CAT = 'mutation ($uri: String!) { addChatMembers(uri: $uri, usernames: ["cat"]) { __typename } }';
const REMOVE_BEN = 'mutation ($uri: String!) { removeChatMember(uri: $uri, username: "ben") { __typename } }';
const NOT_FOUND = { __typename: 'NotFoundError' };
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
  await app.signUp('cat');
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
    'mutation { createTodoList(input: { name: "short-lived" }) { ... on TodoList { databaseId } } }',
  );
  return String(createTodoList.databaseId);
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

/** A chat of ann's, with ben when he is to be a member. */
async function openChat({ withBen }: { withBen: boolean }): Promise<{ id: number; uri: string }> {
  const { createChatSession } = await ann.gql('mutation { createChatSession { id uri } }');
  const { id, uri } = createChatSession;
  if (withBen) {
    await ben.gql(JOIN, { uri });
  }
  return { id: numberOf(id), uri };
}

const membersOf = async (id: number): Promise<unknown> =>
  app.sql(
    'SELECT "username" FROM "ChatMember" JOIN "User" ON "User"."id" = "userId" WHERE "chatSessionId" = ? ORDER BY "username"',
    id,
  );

/** The statements by which another process removes ben from a chat. */
function removalOfBen(id: number): string[] {
  const who = `"User" WHERE "username" = 'ben'`;
  return [
    ...(ON_POSTGRES ? [`SELECT "id" FROM "ChatSession" WHERE "id" = ${id} FOR NO KEY UPDATE`] : []),
    `DELETE FROM "ChatMember" WHERE "chatSessionId" = ${id} AND "userId" = (SELECT "id" FROM ${who})`,
    `INSERT INTO "ChatRemoval" ("chatSessionId", "userId") SELECT ${id}, "id" FROM ${who}`,
  ];
}

/** What somebody gets for a mutation that waits for another transaction of these statements. */
async function heldUp(
  statements: readonly string[],
  person: Person,
  mutation: string,
  uri: string,
  more: Record<string, unknown> = {},
): Promise<unknown> {
  let answer: Promise<unknown> = Promise.resolve();
  await inOtherTransaction(statements, () => {
    answer = person.gql(mutation, { uri, ...more });
  });
  return answer;
}

describe('a user who is being removed from a chat', () => {
  it('should not join once that is committed, even if they asked before', async () => {
    const { id, uri } = await openChat({ withBen: false });
    expect(await heldUp(removalOfBen(id), ben, JOIN, uri)).toEqual({ joinChat: NOT_FOUND });
    expect(await membersOf(id)).toEqual([]);
  });

  it('should not add others any more', async () => {
    const { id, uri } = await openChat({ withBen: true });
    expect(await heldUp(removalOfBen(id), ben, ADD_CAT, uri)).toEqual({ addChatMembers: NOT_FOUND });
    expect(await membersOf(id)).toEqual([]);
  });

  it('should never be inside afterwards, however often they join and speak at the same moment', async () => {
    const { id, uri } = await openChat({ withBen: false });
    for (let round = 0; round < 15; round += 1) {
      const [joins, , sent] = await Promise.all([
        Promise.all([1, 2, 3].map(() => ben.gql(JOIN, { uri }))),
        ann.gql(REMOVE_BEN, { uri }),
        Promise.all([1, 2].map(() => ben.gql(SEND, { uri }))),
      ]);
      const outcomes = [...joins.map(({ joinChat }) => joinChat), ...sent.map(({ sendMessage }) => sendMessage)];
      expect(['ChatSession', 'ChatMessage', 'NotFoundError']).toEqual(
        expect.arrayContaining(outcomes.map(({ __typename }) => __typename)),
      );
      expect(await membersOf(id)).toEqual([]);
      expect(await ben.gql(JOIN, { uri })).toEqual({ joinChat: NOT_FOUND });
      await ann.gql(ADD_BEN, { uri });
      if (round % 2 === 0) {
        await ben.gql('mutation ($uri: String!) { leaveChat(uri: $uri) { __typename } }', { uri });
      }
    }
  });
});

describe('a uri that is being renewed', () => {
  it('should let nobody join once that is committed, even if they asked before', async () => {
    const { id, uri } = await openChat({ withBen: false });
    const renewal = `UPDATE "ChatSession" SET "uri" = 'renewed${id}' WHERE "id" = ${id}`;
    expect(await heldUp([renewal], ben, JOIN, uri)).toEqual({ joinChat: NOT_FOUND });
    expect(await membersOf(id)).toEqual([]);
  });
});

describe('a message by a member who is being removed', () => {
  it('should not follow the removal', async () => {
    const { id, uri } = await openChat({ withBen: true });
    expect((await ben.gql(SEND, { uri })).sendMessage.__typename).toBe('ChatMessage');
    expect(await heldUp(removalOfBen(id), ben, SEND, uri)).toEqual({ sendMessage: NOT_FOUND });
    const messages = await app.sql('SELECT "id" FROM "ChatMessage" WHERE "chatSessionId" = ?', id);
    expect(messages).toHaveLength(1);
  });

  it.each([
    ['mention somebody', 'mutation ($uri: String!) { it: sendMessage(uri: $uri, message: "@ann") { __typename } }'],
    ['be edited', 'mutation ($id: ID!) { it: updateMessage(id: $id, message: "later") { __typename } }'],
    ['be deleted', 'mutation ($id: ID!) { it: deleteMessage(id: $id) { __typename } }'],
    ['be reacted to', 'mutation ($id: ID!) { it: addReaction(messageId: $id, emoji: "👍") { __typename } }'],
  ])('should not %s after the removal', async (_what, mutation) => {
    const { id, uri } = await openChat({ withBen: true });
    const { sendMessage } = await ben.gql(SEND, { uri });
    const everything = () =>
      Promise.all(['ChatMessage', 'ChatReaction'].map((table) => app.sql(`SELECT * FROM "${table}"`)));
    const before = await everything();
    const found = { it: { __typename: 'NotFoundError' } };
    expect(await heldUp(removalOfBen(id), ben, mutation, uri, { id: sendMessage.id })).toEqual(found);
    expect(await everything()).toEqual(before);
  });
});
