import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';

const ROWS = 20;
const CHILDREN = 7;
const SIZES = [1, 5, ROWS] as const;
/** The highest price of one selection below, the reading of the credential included. */
const MOST_STATEMENTS = 16;

let app: TestApp;
let ann: Person;

/** Twenty rows of everything, written by twenty users; every list and chat has seven children. */
beforeAll(async () => {
  app = await startApp({ QUERY_COMPLEXITY_LIMIT: '1000000', QUERY_SEARCH_LIMIT: '1000' });
  ann = await app.signUpStaff('ann');
  const insert = async (sql: string, ...values: unknown[]): Promise<number> =>
    Number((await app.sql(`INSERT INTO ${sql} RETURNING "id"`, ...values))[0]?.['id']);
  for (let index = 1; index <= ROWS; index++) {
    const user = await insert(
      '"User" ("username", "usernameKey", "passwordHash") VALUES (?, ?, ?)',
      `u${index}`,
      `u${index}`,
      '!',
    );
    await insert(
      '"AuditEntry" ("actorId", "actorName", "source", "action", "subjectId", "subjectName") VALUES (?, ?, ?, ?, ?, ?)',
      user,
      '',
      'REST',
      'PROMOTED',
      user - 1,
      '',
    );
    await insert('"TodoList" ("name", "ownerId") VALUES (?, ?)', `list ${index}`, user);
    await insert('"Post" ("title", "content", "authorId") VALUES (?, ?, ?)', `post ${index}`, '-', user);
    await insert(
      '"Note" ("title", "description", "priority", "createdAt", "createdBy", "ownerId") VALUES (?, ?, 1, ?, ?, ?)',
      `note ${index}`,
      '',
      '',
      '',
      user,
    );
    await insert('"ChatSession" ("uri", "ownerId") VALUES (?, ?)', String(index).padStart(15, '0'), user);
    await insert('"ChatMember" ("chatSessionId", "userId") VALUES (?, 1)', index);
  }
  for (let index = 0; index < ROWS * CHILDREN; index++) {
    const parent = (index % ROWS) + 1;
    await insert('"Todo" ("title", "listId", "ownerId") VALUES (?, ?, ?)', `todo ${index}`, parent, parent + 1);
    await insert(
      '"ChatMessage" ("message", "chatSessionId", "userId") VALUES (?, ?, ?)',
      `message ${index}`,
      parent,
      parent + 1,
    );
  }
  for (const emoji of ['👍', '🎉']) {
    await app.sql(
      `INSERT INTO "ChatReaction" ("messageId", "chatSessionId", "userId", "emoji")
       SELECT "id", "chatSessionId", "userId", '${emoji}' FROM "ChatMessage"`,
    );
  }
  await app.sql(
    `INSERT INTO "ChatMention" ("messageId", "chatSessionId", "userId") SELECT "id", "chatSessionId", "userId" FROM "ChatMessage"`,
  );
  await app.sql(`UPDATE "ChatMessage" SET "replyToId" = "id" - ${ROWS} WHERE "id" > ${ROWS}`);
});
afterAll(() => app.close());

/** The lower of two counts: a viewer's identity is read again once a minute, and not twice at once. */
async function statementsOf(query: string, variables: Record<string, unknown> = {}): Promise<number> {
  const count = () => app.countStatements(() => ann.gql(query, variables));
  const least = Math.min(await count(), await count());
  expect(least).toBeGreaterThan(0);
  return least;
}

const FIRST_TODOS = 'todos(first: 5) { nodes { title } }';
const TODO = `nodes { title owner { username } list { name owner { username } ${FIRST_TODOS} } }`;

/** Lists with all that hangs on them; `$size` rows of each are read. */
const SELECTIONS: Readonly<Record<string, string>> = {
  'todos with their list, its owner and its first todos': `todos(first: $size) { ${TODO} }`,
  'the last todos by title': `todos(last: $size, orderBy: { field: TITLE }) { totalCount ${TODO} }`,
  'lists with their todos and totals': `todoLists(first: $size) {
    nodes { owner { username } todos(last: 3, filter: { completed: false }) { totalCount nodes { title owner { username } } } }
  }`,
  'lists with all of their todos, twice': `todoLists(first: $size) {
    nodes { a: todos(first: 100) { totalCount } b: todos(first: 2) { totalCount nodes { list { name } } } }
  }`,
  'posts with their authors': 'posts(first: $size) { nodes { title author { username } } }',
  users: 'users(first: $size) { totalCount nodes { username email } }',
  'audit entries with whom they name': `auditEntries(first: $size) {
    nodes { action actor { username } subject { username isActive } }
  }`,
  'notes with their owners': 'notes(first: $size) { nodes { title owner { username } } }',
  'chats with owners, members and messages': `chatSessions(first: $size) {
    totalCount
    nodes {
      owner { username }
      members { username }
      messages(last: 3) { totalCount nodes { message user { username } chatSession { uri } } }
    }
  }`,
  'messages with replies, reactions and mentions': `chatSessions(first: $size) {
    nodes {
      messages(last: 3) {
        nodes {
          replyTo { message user { username } }
          mentions { username }
          reactions { emoji count viewerReacted users(first: 2) { username } }
        }
      }
    }
  }`,
};

describe('the number of statements', () => {
  it.each(Object.entries(SELECTIONS))('should not grow with the rows that are read: %s', async (_name, selection) => {
    const query = `query ($size: Int!) { rows: ${selection} }`;
    const { rows } = await ann.gql(query, { size: ROWS });
    expect(rows.nodes).toHaveLength(ROWS);
    const counts: number[] = [];
    for (const size of SIZES) {
      counts.push(await statementsOf(query, { size }));
    }
    expect(counts).toEqual(counts.map(() => counts[0]));
    expect(counts[0]).toBeLessThanOrEqual(MOST_STATEMENTS);
  });

  it('should be measured on pages that hold what they were asked for', async () => {
    const { todos } = await ann.gql(`{ todos(first: ${ROWS}) { ${TODO} } }`);
    expect(new Set(todos.nodes.map(({ list }: { list: { name: string } }) => list.name)).size).toBe(ROWS);
    for (const { list, owner } of todos.nodes) {
      expect(list.todos.nodes).toHaveLength(5);
      expect(owner.username).toBe(list.owner.username);
    }
    const { chatSessions } = await ann.gql(
      '{ chatSessions { nodes { members { username } messages { totalCount } } } }',
    );
    expect(chatSessions.nodes).toHaveLength(ROWS);
    for (const { members, messages } of chatSessions.nodes) {
      expect([members.length, messages.totalCount]).toEqual([2, CHILDREN]);
    }
  });

  it.each(Object.entries(SELECTIONS))('should not grow per row under ten aliases: %s', async (_name, selection) => {
    const aliases = Array.from({ length: 10 }, (_, index) => `a${index}: ${selection}`).join('\n');
    const counts: number[] = [];
    for (const size of SIZES) {
      const one = await statementsOf(`query ($size: Int!) { a: ${selection} }`, { size });
      const ten = await statementsOf(`query ($size: Int!) { ${aliases} }`, { size });
      expect(ten).toBeLessThanOrEqual(10 * one);
      counts.push(ten);
    }
    expect(counts).toEqual(counts.map(() => counts[0]));
  });

  it('should not grow with the ids that `nodes` or aliased lookups are given', async () => {
    const globalIds = (type: string, length: number) =>
      Array.from({ length }, (_, index) => Buffer.from(`${type}:${index + 1}`).toString('base64url'));
    const query = `query ($ids: [ID!]!) {
      nodes(ids: $ids) { id ... on Todo { list { name } owner { username } } ... on ChatMessage { user { username } } }
    }`;
    for (const type of ['Todo', 'ChatMessage']) {
      const { nodes } = await ann.gql(query, { ids: globalIds(type, 50) });
      expect(nodes.filter(Boolean)).toHaveLength(50);
      const one = await statementsOf(query, { ids: globalIds(type, 1) });
      expect(await statementsOf(query, { ids: globalIds(type, 50) })).toBe(one);
    }
    const lookups = (length: number) =>
      Array.from({ length }, (_, n) => `t${n}: todo(id: ${n + 1}) { title }`).join('\n');
    expect(await statementsOf(`{ ${lookups(25)} }`)).toBe(await statementsOf(`{ ${lookups(1)} }`));
  });

  it('should include a count only where a total is asked for, and one for all rows', async () => {
    for (const list of ['todos', 'todoLists', 'posts', 'notes', 'chatSessions']) {
      const without = await statementsOf(`{ ${list} { nodes { id } pageInfo { hasNextPage } } }`);
      expect(await statementsOf(`{ ${list} { nodes { id } pageInfo { hasNextPage } totalCount } }`)).toBe(without + 1);
    }
    for (const [list, children] of [
      ['todoLists', 'todos'],
      ['chatSessions', 'messages'],
    ]) {
      const without = await statementsOf(`{ ${list} { nodes { ${children}(first: 2) { nodes { id } } } } }`);
      const withTotal = `{ ${list} { nodes { ${children}(first: 2) { totalCount nodes { id } } } } }`;
      expect(await statementsOf(withTotal)).toBe(without + 1);
    }
  });

  it('should be reached by ten pages at once within the cost that is allowed by default', async () => {
    const ordinary = await startApp();
    const page = `todos(first: 20) { ${TODO} }`;
    const aliases = Array.from({ length: 10 }, (_, index) => `a${index}: ${page}`).join('\n');
    try {
      expect(Object.keys(await ordinary.anonymous.gql(`{ ${aliases} }`))).toHaveLength(10);
    } finally {
      await ordinary.close();
    }
  });
});
