import Sqlite from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../src/database/client.ts';
import { startApp, type TestApp } from '../kit/app.ts';
import { numberOf } from '../kit/ids.ts';
import type { Person } from '../kit/person.ts';
import { ON_POSTGRES } from '../kit/postgres.ts';
import { type Frame, LiveClient } from './client.ts';

const TASKS = { type: 'subscribe', id: 1, model: 'todolist.Task', action: 'list' };
const RESYNC = 'The changes since that cursor are not available. Load the data again and subscribe after its cursor.';

let app: TestApp;
let database: Database;
let ann: Person;
let client: LiveClient;

beforeAll(async () => {
  app = await startApp();
  database = app.app.services.database;
  ann = await app.signUp('ann');
});
afterAll(() => app.close());
beforeEach(async () => {
  client = await LiveClient.open(app);
});
afterEach(() => client.close());

const cursor = async (): Promise<string> => (await app.anonymous.gql('{ cursor }')).cursor;
const make = (title: string, more: object = {}) => database.todo.create({ data: { title, ...more } });
const texts = (frames: readonly Frame[]) =>
  frames.map(({ action, instance }) => [action, (instance as { text?: string }).text]);

describe('every write counts', () => {
  it('of GraphQL and of the documented paths', async () => {
    await client.quietly(TASKS);
    const { createTodo } = await app.anonymous.gql(
      'mutation { createTodo(input: { title: "by GraphQL" }) { ... on Todo { id } } }',
    );
    const id = numberOf(createTodo.id);
    expect(await client.next()).toMatchObject({ action: 'CREATED', instance: { id, text: 'by GraphQL', done: false } });
    await app.anonymous.fetch(`/api/todos/${id}`, { method: 'PATCH', body: '{"completed":true}' });
    expect(await client.next()).toMatchObject({ action: 'UPDATED', instance: { id, done: true } });
  });

  it('in bulk', async () => {
    const ids = [(await make('a')).id, (await make('b')).id, (await make('c')).id];
    await client.quietly(TASKS);
    await app.anonymous.gql(
      'mutation ($ids: [ID!]!) { updateTodos(ids: $ids, input: { completed: true }) { __typename } }',
      { ids },
    );
    const updated = [await client.next(), await client.next(), await client.next()];
    expect(updated.map(({ instance }) => instance)).toEqual(
      ids.map((id, index) => ({ id, text: 'abc'[index], done: true })),
    );
    await app.anonymous.gql('mutation ($ids: [ID!]!) { deleteTodos(ids: $ids) { __typename } }', { ids });
    const deleted = [await client.next(), await client.next(), await client.next()];
    expect(deleted.map(({ instance }) => instance)).toEqual(ids.map((id) => ({ pk: id, id })));
  });

  it('of a list that is deleted with its tasks', async () => {
    const list = await database.todoList.create({ data: { name: 'List', todos: { create: [{ title: 'in it' }] } } });
    await client.quietly({ ...TASKS, view_kwargs: { list: list.id } });
    await database.todoList.delete({ where: { id: list.id } });
    expect(await client.next()).toMatchObject({ action: 'DELETED' });
  });

  it('of another connection to the database', async () => {
    await client.quietly(TASKS);
    await app.sql(`INSERT INTO "Todo" ("title") VALUES ('by hand')`);
    expect(await client.next()).toMatchObject({ action: 'CREATED', instance: { text: 'by hand' } });
    await app.sql(`UPDATE "Todo" SET "completed" = true WHERE "title" = 'by hand'`);
    expect(await client.next()).toMatchObject({ action: 'UPDATED', instance: { done: true } });
    await app.sql(`DELETE FROM "Todo" WHERE "title" = 'by hand'`);
    expect(await client.next()).toMatchObject({ action: 'DELETED' });
  });

  // How long a transaction of another connection is seen by nobody, test/postgres shows for PostgreSQL.
  it.skipIf(ON_POSTGRES)('once it is committed, and never when it is rolled back', async () => {
    await client.quietly(TASKS);
    await database
      .$transaction(async (transaction) => {
        await transaction.todo.create({ data: { title: 'never' } });
        throw new Error('no');
      })
      .catch(() => undefined);
    const shell = new Sqlite(app.databasePath);
    shell.exec('BEGIN IMMEDIATE');
    shell.exec(`INSERT INTO "Todo" ("title", "completed", "updatedAt") VALUES ('later', 0, '2026-01-01T00:00:00Z')`);
    await client.quietly({ request_id: 'barrier', model: 'todolist.Task', value: 0 });
    shell.exec('COMMIT');
    expect(await client.next()).toMatchObject({ action: 'CREATED', instance: { text: 'later' } });
    shell.close();
  });
});

describe('going on after a cursor', () => {
  it('gives what was missed, then what is new, each with its cursor', async () => {
    const start = await cursor();
    const todo = await make('missed');
    await database.todo.update({ where: { id: todo.id }, data: { title: 'changed' } });
    client.raw.send({ ...TASKS, after: start });
    const missed = [await client.next(), await client.next()];
    expect(texts(missed)).toEqual([
      ['CREATED', 'missed'],
      ['UPDATED', 'changed'],
    ]);
    await make('live');
    const live = await client.next();
    expect(Object.keys(live)).toEqual(['type', 'id', 'model', 'action', 'instance', 'cursor']);
    expect(new Set([start, ...[...missed, live].map((frame) => frame['cursor'])]).size).toBe(4);

    const other = await LiveClient.open(app);
    const first = { request_id: 'r', model: 'todolist.Task', value: todo.id, after: missed[0]?.['cursor'] };
    expect(await other.ask(first)).toEqual({
      type: 'broadcast',
      request_id: 'r',
      model: 'todolist.Task',
      action: 'UPDATED',
      instance: { id: todo.id, text: 'changed', done: false },
      cursor: missed[1]?.['cursor'],
    });
    await other.close();
  });

  it('begins now with an empty cursor, and sends the first one', async () => {
    await make('before');
    await client.quietly({ ...TASKS, after: '' }, { request_id: 1, model: 'todolist.Task', value: 0, after: '' });
    await make('one');
    const one = await client.next();
    expect(texts([one])).toEqual([['CREATED', 'one']]);
    await make('two');
    await client.next();
    const other = await LiveClient.open(app);
    expect(texts([await other.ask({ ...TASKS, after: one['cursor'] })])).toEqual([['CREATED', 'two']]);
    await other.close();
  });

  it('goes by present rights', async () => {
    const { id: ownerId } = await database.user.findFirstOrThrow();
    const start = await cursor();
    const todo = await make('was for all');
    await make('is for all');
    await database.todo.update({ where: { id: todo.id }, data: { ownerId } });
    client.raw.send({ ...TASKS, after: start });
    const received = await client.received();
    expect(received).not.toContainEqual(
      expect.objectContaining({ instance: expect.objectContaining({ id: todo.id, done: false }) }),
    );
    expect(texts(received)).toContainEqual(['CREATED', 'is for all']);
  });

  it.each<[string, () => unknown, number, string]>([
    ['is malformed', () => 'nonsense', 400, 'The cursor is malformed.'],
    ['belongs to another log', () => '0123456789abcdef:1-a', 410, RESYNC],
    ['lies in the future', async () => (await cursor()).replace(/:\d+-/, ':999999-'), 410, RESYNC],
  ])('says so when the cursor %s', async (_name, after, code, message) => {
    const frame = { ...TASKS, after: await after() };
    expect(await client.ask(frame)).toEqual({ type: 'error', id: 1, code, message });
    const first = { request_id: 2, model: 'todolist.Task', value: 1, after: frame.after };
    expect(await client.ask(first)).toEqual({ type: 'error', request_id: 2, code, message });
    await client.quietly(TASKS);
  });

  it('says so when the log no longer reaches back', async () => {
    await make('one');
    const start = await cursor();
    await make('two');
    await make('three');
    const { seq } = await database.change.findFirstOrThrow({ orderBy: { seq: 'desc' } });
    await database.change.deleteMany({ where: { seq: { lt: seq } } });
    expect(await client.ask({ ...TASKS, after: start })).toMatchObject({ code: 410, message: RESYNC });
  });
});

describe('broadcasts', () => {
  it('come in the order of the log, however long one of them takes to put together', async () => {
    const names = ['of many', ...Array.from({ length: 30 }, (_, index) => `quick ${index}`)];
    const many = await database.todoList.create({ data: { name: '…' } });
    await database.todo.createMany({
      data: Array.from({ length: 5_000 }, (_, index) => ({ title: `task ${index}`, listId: many.id })),
    });
    await client.quietly({ ...TASKS, model: 'todolist.List' });
    await database.todoList.update({ where: { id: many.id }, data: { name: 'of many' } });
    for (const name of names.slice(1)) {
      await database.todoList.create({ data: { name } });
    }
    const received: unknown[] = [];
    while (received.length < names.length) {
      received.push(((await client.next())['instance'] as { name: string }).name);
    }
    expect(received).toEqual(names);
  });

  it('are put together once for all who see the same', async () => {
    const { id: userId } = await database.user.findFirstOrThrow();
    const chat = await database.chatSession.create({ data: { uri: '0123456789ab4cd', ownerId: userId } });
    const list = await database.todoList.create({ data: { name: 'A list' } });
    const statementsWith = async (count: number): Promise<number> => {
      const clients = await Promise.all(Array.from({ length: count }, () => LiveClient.open(app, ann)));
      for (const one of clients) {
        await one.quietly({ ...TASKS, model: 'chat.ChatSessionMessage' }, { ...TASKS, model: 'todolist.List' });
      }
      const statements = await app.countStatements(async () => {
        await database.chatMessage.create({ data: { chatSessionId: chat.id, userId, message: 'Hi' } });
        await Promise.all(clients.map((one) => one.next()));
        await database.todoList.update({ where: { id: list.id }, data: { name: 'Renamed' } });
        await Promise.all(clients.map((one) => one.next()));
      });
      await Promise.all(clients.map((one) => one.close()));
      return statements;
    };
    const alone = await statementsWith(1);
    expect(await statementsWith(20)).toBe(alone);
  });
});
