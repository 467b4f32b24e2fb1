import Sqlite from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { globalId, numberOf } from '../kit/ids.ts';
import type { Person } from '../kit/person.ts';
import { type Operation, SocketClient } from '../kit/socket.ts';
import { endOfLog } from './streams.ts';

const FIELDS = {
  Todo: 'todo { id title completed list { id name } owner { username } }',
  TodoList: 'todoList { id name owner { username } }',
  Post: 'post { id title content author { username } }',
  Note: 'note { id title priority }',
} as const;
type Type = keyof typeof FIELDS;

let app: TestApp;
let ann: Person;
let ben: Person;
let staff: Person;
let database: Sqlite.Database;
const clients: SocketClient[] = [];

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  ben = await app.signUp('ben');
  staff = await app.signUpStaff('sue');
  database = new Sqlite(app.databasePath);
});
afterAll(async () => {
  database.close();
  await app.close();
});
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

/** The events that one person receives of one type from now on; `narrowed` is the text of arguments. */
async function watch(person: Person, type: Type, narrowed = ''): Promise<Operation> {
  const after = await endOfLog(app);
  const client = await SocketClient.open(app.url, person.authorization);
  clients.push(client);
  const field = `${type.charAt(0).toLowerCase()}${type.slice(1)}Changed`;
  const shown = `{ action cursor id ${FIELDS[type]} }`;
  return client.start(`subscription ($after: String) { ${field}(after: $after ${narrowed}) ${shown} }`, { after });
}

/** Runs a mutation on one object, its arguments given as text; gives the id. */
async function write(person: Person, type: Type, mutation: string): Promise<string> {
  const { done } = await person.gql(
    `mutation { done: ${mutation} { ... on ${type} { id } ... on Error { message } } }`,
  );
  expect(done.message).toBeUndefined();
  return done.id;
}

const make = (person: Person, type: Type, input: string) => write(person, type, `create${type}(input: { ${input} })`);
const change = (person: Person, type: Type, id: string, input: string) =>
  write(person, type, `update${type}(id: "${id}", input: { ${input} })`);
const remove = (person: Person, type: Type, id: string) => write(person, type, `delete${type}(id: "${id}")`);
const makeTodo = (person: Person, input = 'title: "Milk"') => make(person, 'Todo', input);
const makeList = (person: Person, name = 'Errands') => make(person, 'TodoList', `name: "${name}"`);
const idOf = ({ username }: Person): number =>
  database.prepare<[string], { id: number }>('SELECT "id" FROM "User" WHERE "username" = ?').get(username)?.id ?? 0;

/** Asserts what comes next, and nothing in between: action and id of each event, in order. */
async function expectEvents(operation: Operation, ...expected: readonly (readonly [action: string, id: string])[]) {
  for (const [action, id] of expected) {
    expect(await operation.event()).toMatchObject({ action, id });
  }
}

/** Asserts that nothing more has come: only what is written now, which everybody sees who watches this type. */
async function expectQuiet(type: 'Todo' | 'TodoList' | 'Note', ...operations: readonly Operation[]): Promise<void> {
  const needs = { Todo: 'title: "last"', TodoList: 'name: "last"', Note: 'title: "last" description: "" priority: 0' };
  const id = await make(app.anonymous, type, needs[type]);
  for (const operation of operations) {
    await expectEvents(operation, ['CREATED', id]);
    expect(operation.results.drain()).toEqual([]);
  }
}

describe('the events of one object', () => {
  it.each([
    {
      type: 'Todo',
      made: 'title: "Milk"',
      created: { title: 'Milk', completed: false, list: null, owner: { username: 'ann' } },
      changed: 'completed: true',
      updated: { title: 'Milk', completed: true },
    },
    {
      type: 'TodoList',
      made: 'name: "Errands"',
      created: { name: 'Errands', owner: { username: 'ann' } },
      changed: 'name: "Chores"',
      updated: { name: 'Chores' },
    },
    {
      type: 'Post',
      made: 'title: "News", content: "All is well."',
      created: { title: 'News', content: 'All is well.', author: { username: 'ann' } },
      changed: 'content: "It is not."',
      updated: { title: 'News', content: 'It is not.' },
    },
    {
      type: 'Note',
      made: 'title: "Call", description: "Ben", priority: 1',
      created: { title: 'Call', priority: 1 },
      changed: 'priority: -2147483648',
      updated: { title: 'Call', priority: -2147483648 },
    },
  ] as const)(
    'should be CREATED, UPDATED and DELETED for a $type',
    async ({ type, made, created, changed, updated }) => {
      const events = await watch(ann, type);
      const id = await make(ann, type, made);
      await change(ann, type, id, changed);
      await remove(ann, type, id);
      const object = `${type.charAt(0).toLowerCase()}${type.slice(1)}`;
      const cursor = expect.any(String);
      const first = await events.event();
      expect(first).toEqual({ action: 'CREATED', cursor, id, [object]: expect.objectContaining({ id, ...created }) });
      const second = await events.event();
      expect(second).toEqual({ action: 'UPDATED', cursor, id, [object]: expect.objectContaining({ id, ...updated }) });
      const third = await events.event();
      expect(third).toEqual({ action: 'DELETED', cursor, id, [object]: null });
      expect(new Set([first.cursor, second.cursor, third.cursor]).size).toBe(3);
    },
  );

  it('should carry the object as that change left it, though it was changed again since', async () => {
    const events = await watch(ann, 'Todo');
    database.exec(`
      BEGIN;
      INSERT INTO "Todo" ("title", "ownerId") VALUES ('one', ${idOf(ann)});
      UPDATE "Todo" SET "title" = 'two' WHERE "title" = 'one';
      UPDATE "Todo" SET "title" = 'three', "completed" = 1 WHERE "title" = 'two';
      COMMIT;
    `);
    const todos = [await events.event(), await events.event(), await events.event()].map(({ todo }) => todo);
    expect(todos).toMatchObject([
      { title: 'one' },
      { title: 'two', completed: false },
      { title: 'three', completed: true },
    ]);
  });

  it('should read what hangs on the object anew each time', async () => {
    const listId = await makeList(ann, 'before');
    const events = await watch(ann, 'Todo');
    const id = await makeTodo(ann, `title: "x", listId: "${listId}"`);
    expect((await events.event()).todo.list).toEqual({ id: listId, name: 'before' });
    await change(ann, 'TodoList', listId, 'name: "after"');
    await change(ann, 'Todo', id, 'completed: true');
    expect((await events.event()).todo.list).toEqual({ id: listId, name: 'after' });
  });

  it('should leave out others when the subscriber names an object or a list', async () => {
    const listId = await makeList(ann);
    const [inside, outside] = [await makeTodo(ann, `title: "in", listId: "${listId}"`), await makeTodo(ann)];
    const ofOne = await watch(ann, 'Todo', `id: "${outside}"`);
    const ofList = await watch(ann, 'Todo', `listId: "${listId}"`);
    const ofBoth = await watch(ann, 'Todo', `id: "${outside}", listId: "${listId}"`);
    const ofNone = await Promise.all(['0', 'x', '-1', ''].map((id) => watch(ann, 'Todo', `id: "${id}"`)));
    for (const id of [inside, outside]) {
      await change(ann, 'Todo', id, 'completed: true');
    }
    await change(ann, 'Todo', outside, `listId: "${listId}"`);
    await remove(ann, 'Todo', outside);
    await remove(ann, 'Todo', inside);
    await expectEvents(ofOne, ['UPDATED', outside], ['UPDATED', outside], ['DELETED', outside]);
    await expectEvents(ofList, ['UPDATED', inside], ['CREATED', outside], ['DELETED', outside], ['DELETED', inside]);
    await expectEvents(ofBoth, ['CREATED', outside], ['DELETED', outside]);
    for (const operation of [ofOne, ofList, ofBoth, ...ofNone]) {
      expect(operation.results.drain()).toEqual([]);
    }
  });

  it('should come for an object that was named before it was there', async () => {
    const next = numberOf(await makeTodo(ann)) + 1;
    const events = await watch(ann, 'Todo', `id: "${next}"`);
    await makeTodo(ann);
    await expectEvents(events, ['CREATED', globalId('Todo', next)]);
  });
});

describe('entering and leaving', () => {
  it('should be CREATED in the list that a todo moves into and DELETED in the one that it leaves', async () => {
    const [here, there] = [await makeList(ann), await makeList(ann)];
    const id = await makeTodo(ann, `title: "x", listId: "${here}"`);
    const [ofHere, ofThere] = [
      await watch(ann, 'Todo', `listId: "${here}"`),
      await watch(ann, 'Todo', `listId: "${there}"`),
    ];
    const all = await watch(ann, 'Todo');
    await change(ann, 'Todo', id, `listId: "${there}"`);
    expect(await ofHere.event()).toMatchObject({ action: 'DELETED', id, todo: null });
    expect(await ofThere.event()).toMatchObject({ action: 'CREATED', id, todo: { list: { id: there } } });
    await change(ann, 'Todo', id, 'title: "moved"');
    await change(ann, 'Todo', id, 'listId: null');
    await expectEvents(ofThere, ['UPDATED', id], ['DELETED', id]);
    await expectEvents(all, ['UPDATED', id], ['UPDATED', id], ['UPDATED', id]);
    expect(ofHere.results.drain()).toEqual([]);
  });

  it('should follow the owner of a row', async () => {
    const id = await makeTodo(ann);
    const anns = await watch(ann, 'Todo');
    const bens = await watch(ben, 'Todo');
    const staffs = await watch(staff, 'Todo');
    const everybodys = await watch(app.anonymous, 'Todo');
    const steps = [
      { owner: idOf(ben), received: { anns: 'DELETED', bens: 'CREATED', staffs: 'UPDATED' } },
      { owner: null, received: { anns: 'CREATED', bens: 'UPDATED', staffs: 'UPDATED', everybodys: 'CREATED' } },
      { owner: idOf(ann), received: { anns: 'UPDATED', bens: 'DELETED', staffs: 'UPDATED', everybodys: 'DELETED' } },
    ];
    const watchers: Readonly<Record<string, Operation>> = { anns, bens, staffs, everybodys };
    for (const { owner, received } of steps) {
      database.prepare('UPDATE "Todo" SET "ownerId" = ? WHERE "id" = ?').run(owner, numberOf(id));
      for (const [name, action] of Object.entries(received)) {
        expect(await watchers[name]?.event(), name).toMatchObject({ action, id });
      }
    }
    await expectQuiet('Todo', anns, bens, staffs, everybodys);
  });

  it.each(['TodoList', 'Note'] as const)('should follow the owner of a %s, too', async (type) => {
    const id = await (type === 'Note' ? make(ann, 'Note', 'title: "x", description: "", priority: 0') : makeList(ann));
    const [anns, bens] = [await watch(ann, type), await watch(ben, type)];
    database.prepare(`UPDATE "${type}" SET "ownerId" = ? WHERE "id" = ?`).run(idOf(ben), numberOf(id));
    await expectEvents(anns, ['DELETED', id]);
    await expectEvents(bens, ['CREATED', id]);
    await expectQuiet(type, anns, bens);
  });
});

describe('recipients', () => {
  it('should be the owner and staff of private rows, and everybody of those without an owner', async () => {
    const watchers = await Promise.all([ann, ben, staff, app.anonymous].map((person) => watch(person, 'Todo')));
    const [anns, bens, staffs, everybodys] = watchers as [Operation, Operation, Operation, Operation];
    const [mine, ours] = [await makeTodo(ann), await makeTodo(app.anonymous)];
    await change(ann, 'Todo', mine, 'completed: true');
    await change(ben, 'Todo', ours, 'completed: true');
    await remove(staff, 'Todo', mine);
    const [ofMine, ofOurs] = [
      ['CREATED', mine],
      ['CREATED', ours],
    ] as const;
    const [changedMine, changedOurs] = [
      ['UPDATED', mine],
      ['UPDATED', ours],
    ] as const;
    await expectEvents(anns, ofMine, ofOurs, changedMine, changedOurs, ['DELETED', mine]);
    await expectEvents(staffs, ofMine, ofOurs, changedMine, changedOurs, ['DELETED', mine]);
    await expectEvents(bens, ofOurs, changedOurs);
    await expectEvents(everybodys, ofOurs, changedOurs);
    await expectQuiet('Todo', ...watchers);
  });

  it('should be every signed-in user of posts', async () => {
    const [bens, staffs] = [await watch(ben, 'Post'), await watch(staff, 'Post')];
    const id = await make(ann, 'Post', 'title: "a", content: "b"');
    await expectEvents(bens, ['CREATED', id]);
    await expectEvents(staffs, ['CREATED', id]);
  });

  it('should be nobody but the owner where nothing belongs to everybody', async () => {
    const closed = await startApp({ ALLOW_ANONYMOUS: 'false' });
    try {
      const cat = await closed.signUp('cat');
      const client = await SocketClient.open(closed.url, cat.authorization);
      clients.push(client);
      const after = await endOfLog(closed);
      const query = 'subscription ($after: String) { todoChanged(after: $after) { todo { title } } }';
      const events = client.start(query, { after });
      const rows = new Sqlite(closed.databasePath);
      rows.exec(
        `INSERT INTO "Todo" ("title") VALUES ('nobody’s'); INSERT INTO "Todo" ("title", "ownerId") VALUES ('cat’s', 1)`,
      );
      rows.close();
      expect(await events.event()).toEqual({ todo: { title: 'cat’s' } });
    } finally {
      await closed.close();
    }
  });
});

describe('many rows at once', () => {
  const UPDATE_MANY = `mutation ($ids: [ID!]!) {
    updateTodos(ids: $ids, input: { completed: true }) { ... on UpdatedTodos { todos { id } } }
  }`;
  const DELETE_MANY = 'mutation ($ids: [ID!]!) { deleteTodos(ids: $ids) { ... on DeletedTodos { ids } } }';

  it('should be an event each when they are changed or deleted together', async () => {
    const ids = [await makeTodo(ann), await makeTodo(ann), await makeTodo(ann)];
    const events = await watch(ann, 'Todo');
    expect((await ann.gql(UPDATE_MANY, { ids })).updateTodos.todos).toHaveLength(3);
    expect((await ann.gql(DELETE_MANY, { ids })).deleteTodos.ids).toHaveLength(3);
    const received = await Promise.all(Array.from({ length: 6 }, () => events.event()));
    const idsOf = (action: string): string[] => received.filter((event) => event.action === action).map(({ id }) => id);
    expect(received.map(({ action }) => action)).toEqual([...Array(3).fill('UPDATED'), ...Array(3).fill('DELETED')]);
    expect(idsOf('UPDATED').toSorted()).toEqual(ids.toSorted());
    expect(idsOf('DELETED').toSorted()).toEqual(ids.toSorted());
  });

  it('should be an event each when they go with their list', async () => {
    const listId = await makeList(ann);
    const ids = [
      await makeTodo(ann, `title: "a", listId: "${listId}"`),
      await makeTodo(ann, `title: "b", listId: "${listId}"`),
    ];
    const [todos, lists] = [await watch(ann, 'Todo', `listId: "${listId}"`), await watch(ann, 'TodoList')];
    await remove(ann, 'TodoList', listId);
    const received = [await todos.event(), await todos.event()];
    expect(received).toMatchObject([
      { action: 'DELETED', todo: null },
      { action: 'DELETED', todo: null },
    ]);
    expect(received.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    await expectEvents(lists, ['DELETED', listId]);
  });

  it('should be no event when the whole is undone', async () => {
    const ids = [await makeTodo(ann), await makeTodo(ann)];
    const events = await watch(ann, 'Todo');
    const { updateTodos } = await ann.gql(UPDATE_MANY, { ids: [...ids, '2147483647'] });
    expect(updateTodos).toEqual({});
    database.exec(`BEGIN; UPDATE "Todo" SET "title" = 'undone' WHERE "ownerId" = ${idOf(ann)}; ROLLBACK`);
    await expectQuiet('Todo', events);
  });
});
