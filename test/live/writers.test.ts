import { execFileSync } from 'node:child_process';
import Sqlite from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { numberOf } from '../kit/ids.ts';
import { Person } from '../kit/person.ts';
import { describeWith } from '../kit/present.ts';
import { type ServerProcess, startProcess } from '../kit/process.ts';
import { type Operation, SocketClient } from '../kit/socket.ts';
import { endOfLog } from './streams.ts';

const PASSWORD = 'a good long password';
const SECRET_KEY = 'ee912736a1b4d60df4f2a7991692f70d0909ea0f84';
const TODOS = 'subscription ($after: String) { todoChanged(after: $after) { action id todo { title completed } } }';
const NOTES = 'subscription ($after: String) { noteChanged(after: $after) { action id note { title } } }';
const ADD_NOTE = `INSERT INTO "Note" ("title", "description", "priority", "createdAt", "createdBy") VALUES`;

let app: TestApp;
let ann: Person;
let annsId: number;
let database: Sqlite.Database;
const clients: SocketClient[] = [];

beforeAll(async () => {
  app = await startApp({ SECRET_KEY });
  ann = await app.signUp('ann');
  annsId = numberOf((await ann.gql('{ viewer { id } }')).viewer.id);
  database = new Sqlite(app.databasePath);
  database.pragma('foreign_keys = ON');
});
afterAll(async () => {
  database.close();
  await app.close();
});
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

async function watch(query: string, person = ann): Promise<Operation> {
  const after = await endOfLog(app);
  const client = await SocketClient.open(app.url, person.authorization);
  clients.push(client);
  return client.start(query, { after });
}

/** The next so many events: their actions, and what they are about. */
async function read(operation: Operation, count: number): Promise<string[]> {
  const received: string[] = [];
  while (received.length < count) {
    const { action, id, todo, note } = await operation.event();
    received.push(`${action} ${todo?.title ?? note?.title ?? numberOf(id)}`);
  }
  return received;
}

const newest = (table: string): number =>
  database.prepare<[], { id: number }>(`SELECT max("id") AS "id" FROM "${table}"`).get()?.id ?? 0;

describe('another connection', () => {
  it('should lead to events, a thousand rows in one statement included, in their order', async () => {
    const todos = await watch(TODOS);
    database.exec(`
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
      INSERT INTO "Todo" ("title", "ownerId") SELECT 'bulk ' || i, ${annsId} FROM n;
      UPDATE "Todo" SET "completed" = 1 WHERE "title" LIKE 'bulk %';
      DELETE FROM "Todo" WHERE "title" LIKE 'bulk %';
    `);
    const titles = Array.from({ length: 1000 }, (_, i) => `bulk ${i + 1}`);
    expect(await read(todos, 2000)).toEqual([
      ...titles.map((title) => `CREATED ${title}`),
      ...titles.map((title) => `UPDATED ${title}`),
    ]);
    expect((await read(todos, 1000)).every((event) => event.startsWith('DELETED '))).toBe(true);
  });

  it('should lead to events when it empties a table without a condition', async () => {
    database.exec('DELETE FROM "Note"');
    const notes = await watch(NOTES);
    database.exec(`${ADD_NOTE} ('a', '', 0, '', ''), ('b', '', 0, '', '')`);
    expect(await read(notes, 2)).toEqual(['CREATED a', 'CREATED b']);
    const last = newest('Note');
    database.exec('DELETE FROM "Note"');
    expect(await read(notes, 2)).toEqual([`DELETED ${last - 1}`, `DELETED ${last}`]);
  });

  it('should lead to events when rows are deleted by a cascade', async () => {
    const listId = database
      .prepare('INSERT INTO "TodoList" ("name", "ownerId") VALUES (?, ?)')
      .run('x', annsId).lastInsertRowid;
    const add = database.prepare('INSERT INTO "Todo" ("title", "listId", "ownerId") VALUES (?, ?, ?)');
    const ids = ['a', 'b'].map((title) => add.run(title, listId, annsId).lastInsertRowid);
    const todos = await watch(TODOS);
    database.prepare('DELETE FROM "TodoList" WHERE "id" = ?').run(listId);
    expect((await read(todos, 2)).toSorted()).toEqual(ids.map((id) => `DELETED ${id}`).toSorted());
  });

  it('should lead to no events before it commits, nor for what it rolls back', async () => {
    const todos = await watch(TODOS);
    const add = (title: string) => `INSERT INTO "Todo" ("title", "ownerId") VALUES ('${title}', ${annsId})`;
    database.exec(`BEGIN; ${add('kept')}; SAVEPOINT s; ${add('undone')}; ROLLBACK TO s; ${add('kept, too')}`);
    await ann.gql('{ cursor }');
    expect(todos.results.drain()).toEqual([]);
    database.exec('COMMIT');
    expect(await read(todos, 2)).toEqual(['CREATED kept', 'CREATED kept, too']);
    database.exec(`BEGIN; ${add('undone')}; ROLLBACK; ${add('last')}`);
    expect(await read(todos, 1)).toEqual(['CREATED last']);
  });

  it('should lead to the event of the effect of an upsert', async () => {
    const todos = await watch(TODOS);
    const place = (title: string, otherwise: string) =>
      database.exec(
        `INSERT INTO "Todo" ("id", "title", "ownerId") VALUES (900002, '${title}', ${annsId}) ${otherwise}`,
      );
    place('first', '');
    place('second', 'ON CONFLICT DO UPDATE SET "title" = excluded."title"');
    place('third', 'ON CONFLICT DO NOTHING');
    database.exec('DELETE FROM "Todo" WHERE "id" = 900002');
    expect(await read(todos, 3)).toEqual(['CREATED first', 'UPDATED second', 'DELETED 900002']);
  });

  it('should lead to events when it gives a row another id', async () => {
    const todos = await watch(TODOS);
    database.exec(`INSERT INTO "Todo" ("id", "title", "ownerId") VALUES (700003, 'moved', ${annsId})`);
    database.exec('UPDATE "Todo" SET "id" = 700004 WHERE "id" = 700003');
    expect(await read(todos, 3)).toEqual(['CREATED moved', 'DELETED 700003', 'CREATED moved']);
  });
});

describe('another process on the same file', () => {
  let other: ServerProcess;

  beforeAll(async () => {
    other = await startProcess({ DATABASE_URL: `file:${app.databasePath}`, SECRET_KEY });
  });
  afterAll(() => other.stop());

  it('should cause events, and receive them', async () => {
    const there = new Person(other.url, ann.authorization, 'ann');
    const here = await watch(TODOS);
    const after = await endOfLog(app);
    const client = await SocketClient.open(other.url, ann.authorization);
    clients.push(client);
    const watcher = client.start(TODOS, { after });
    const create = 'mutation ($title: String!) { createTodo(input: { title: $title }) { ... on Todo { id } } }';
    const titles = Array.from({ length: 20 }, (_, i) => `todo ${i}`);
    for (const [i, title] of titles.entries()) {
      await (i % 2 === 0 ? ann : there).gql(create, { title });
    }
    const expected = titles.map((title) => `CREATED ${title}`);
    expect(await read(here, 20)).toEqual(expected);
    expect(await read(watcher, 20)).toEqual(expected);
  });

  it('should go on from the cursors of this one', async () => {
    const mine = await await watch(
      'subscription ($after: String) { todoChanged(after: $after) { cursor todo { title } } }',
    );
    database.exec(`INSERT INTO "Todo" ("title", "ownerId") VALUES ('one', ${annsId}), ('two', ${annsId})`);
    const { cursor } = await mine.event();
    const client = await SocketClient.open(other.url, ann.authorization);
    clients.push(client);
    expect(await read(client.start(TODOS, { after: cursor }), 1)).toEqual(['CREATED two']);
  });
});

describeWith('sqlite3', 'the shell of SQLite', (sqlite3) => {
  const shell = (sql: string): string => execFileSync(sqlite3, [app.databasePath], { input: sql, encoding: 'utf8' });

  it('should lead to events', async () => {
    const [todos, notes] = [await watch(TODOS), await watch(NOTES)];
    shell(`
      INSERT INTO Todo (title, ownerId) VALUES ('by shell', ${annsId});
      UPDATE Todo SET title = 'by shell, again', completed = true, updatedAt = CURRENT_TIMESTAMP WHERE title = 'by shell';
      BEGIN; UPDATE Todo SET title = 'undone'; ROLLBACK;
      DELETE FROM Todo WHERE title = 'by shell, again';
      ${ADD_NOTE} ('by shell', '', 0, '', '');
    `);
    expect(await read(todos, 2)).toEqual(['CREATED by shell', 'UPDATED by shell, again']);
    expect(await todos.event()).toMatchObject({ action: 'DELETED', todo: null });
    expect(await read(notes, 1)).toEqual(['CREATED by shell']);
  });
});

describe('the log', () => {
  it('should contain no secret and no address', async () => {
    const secrets: string[] = [];
    const take = (): void => {
      for (const table of ['User', 'Session', 'AuthToken']) {
        for (const row of database.prepare<[], Record<string, unknown>>(`SELECT * FROM "${table}"`).all()) {
          for (const column of ['passwordHash', 'email', 'username', 'keyHash', 'sid', 'firstName']) {
            const value = row[column];
            secrets.push(...(typeof value === 'string' && value.length > 3 ? [value] : []));
          }
        }
      }
    };
    const input = { username: 'dorothea', password: PASSWORD };
    await app.anonymous.gql('mutation ($input: SignUpInput!) { signUp(input: $input) { __typename } }', {
      input: { ...input, email: 'dorothea@example.org', firstName: 'Dorothea-Maria' },
    });
    let dora = await app.anonymous.signIn(input.username, PASSWORD);
    take();
    await dora.gql(
      'mutation { updateViewer(input: { email: "dora@example.net", firstName: "Doralice" }) { __typename } }',
    );
    const key = `mutation { createAuthToken(input: { username: "dorothea", password: "${PASSWORD}" }) { ... on AuthTokenKey { authToken } } }`;
    const { createAuthToken } = await dora.gql(key);
    await dora.gql(key);
    take();
    await dora.with(`Token ${createAuthToken.authToken}`).gql('mutation { destroyAuthToken }');
    const { changePassword } = await dora.gql(`mutation {
      changePassword(input: { currentPassword: "${PASSWORD}", newPassword: "another long one" }) { ... on TokenPair { token } }
    }`);
    dora = dora.with(`Bearer ${changePassword.token}`);
    take();
    await dora.gql('mutation { deactivateViewer(currentPassword: "another long one") { __typename } }');
    database.exec(`DELETE FROM "User" WHERE "username" = 'dorothea'`);

    const models = database
      .prepare<[], { model: string }>('SELECT DISTINCT "model" FROM "Change" ORDER BY "model"')
      .all();
    expect(models.map(({ model }) => model)).toEqual(expect.arrayContaining(['AuthToken', 'Session', 'User']));
    const log = JSON.stringify(database.prepare('SELECT * FROM "Change"').all());
    expect(secrets.length).toBeGreaterThan(8);
    for (const secret of [
      ...secrets,
      createAuthToken.authToken,
      changePassword.token,
      PASSWORD,
      'argon2',
      '@example',
    ]) {
      expect(log).not.toContain(secret);
    }
  });
});
