import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Todo, TodoList } from '../../src/generated/client/client.ts';
import { startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { broadcast, FIRST, LiveClient, SECOND, SPEECH } from './client.ts';

const TASK = 'todolist.Task';

let app: TestApp;
let ann: Person;
let ben: Person;
let client: LiveClient;
let list: TodoList;

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  ben = await app.signUp('ben');
});
afterAll(() => app.close());
beforeEach(async () => {
  client = await LiveClient.open(app);
  list = await app.app.services.database.todoList.create({ data: { name: 'A list' } });
});
afterEach(() => client.close());

const make = (title = 'test', more: object = {}): Promise<Todo> =>
  app.app.services.database.todo.create({ data: { title, listId: list.id, ...more } });
const change = (todo: Todo, data: object): Promise<Todo> =>
  app.app.services.database.todo.update({ where: { id: todo.id }, data });
const shown = ({ id, title, completed }: Todo) => ({ id, text: title, done: completed });
const gone = ({ id }: Todo) => ({ pk: id, id });

// What the suites of django-rest-live check of both generations of its messages.
describe.each([FIRST, SECOND] as const)('the %s generation', (generation) => {
  const speech = SPEECH[generation];
  const taskEvent = (id: unknown, action: 'CREATED' | 'UPDATED' | 'DELETED', instance: object) =>
    broadcast(generation, id, TASK, action, instance);

  it('sends updates of the requested row, and of no other', async () => {
    const todo = await make();
    const other = await make('another');
    await client.quietly(speech.row(1337, TASK, todo.id));

    const changed = await change(todo, { title: 'MODIFIED' });
    expect(await client.next()).toEqual(taskEvent(1337, 'UPDATED', shown(changed)));
    await change(other, { title: 'MODIFIED TOO' });
    await client.calm();
  });

  it('sends rows that are made, changed and deleted within a group', async () => {
    await client.quietly(speech.ofList(1, TASK, list.id));
    const todo = await make();
    expect(await client.next()).toEqual(taskEvent(1, 'CREATED', shown(todo)));
    const done = await change(todo, { completed: true });
    expect(await client.next()).toEqual(taskEvent(1, 'UPDATED', shown(done)));
    await app.app.services.database.todo.delete({ where: { id: todo.id } });
    expect(await client.next()).toEqual(taskEvent(1, 'DELETED', gone(todo)));
  });

  it('sends a row that existed before the subscription', async () => {
    const todo = await make();
    await client.quietly(speech.ofList(1, TASK, list.id));
    const done = await change(todo, { completed: true });
    expect(await client.next()).toEqual(taskEvent(1, 'UPDATED', shown(done)));
  });

  it('sends a save that changes nothing', async () => {
    const todo = await make();
    await client.quietly(speech.row(1, TASK, todo.id));
    await change(todo, { title: todo.title });
    expect(await client.next()).toEqual(taskEvent(1, 'UPDATED', shown(todo)));
  });

  it('counts a row that moves to another group as deleted here and created there', async () => {
    const other = await app.app.services.database.todoList.create({ data: { name: 'Another' } });
    const todo = await make();
    await client.quietly(speech.ofList('here', TASK, list.id));
    const there = await LiveClient.open(app);
    await there.quietly(speech.ofList('there', TASK, other.id));

    await change(todo, { listId: other.id });
    expect(await client.next()).toEqual(taskEvent('here', 'DELETED', gone(todo)));
    expect(await there.next()).toEqual(taskEvent('there', 'CREATED', shown(todo)));
    await change(todo, { title: 'elsewhere' });
    await client.calm();
    await there.close();
  });

  it('serves several clients', async () => {
    const clients = [client, await LiveClient.open(app, ann), await LiveClient.open(app, ben)];
    for (const one of clients) {
      await one.quietly(speech.ofList(7, TASK, list.id));
    }
    const todo = await make();
    for (const one of clients) {
      expect(await one.next()).toEqual(taskEvent(7, 'CREATED', shown(todo)));
    }
    await Promise.all(clients.slice(1).map((one) => one.close()));
  });

  it('stops when it is unsubscribed, and goes on when it is subscribed again', async () => {
    const todo = await make();
    await client.quietly(speech.row(1, TASK, todo.id));
    await change(todo, { title: 'once' });
    expect(await client.next()).toMatchObject({ action: 'UPDATED' });

    await client.quietly(speech.unsubscribe(1));
    await change(todo, { title: 'not received' });
    await client.calm();

    await client.quietly(speech.row(1, TASK, todo.id));
    const again = await change(todo, { title: 'again' });
    expect(await client.next()).toEqual(taskEvent(1, 'UPDATED', shown(again)));
  });

  it('ends one of two requests for the same group', async () => {
    await client.quietly(speech.ofList(1, TASK, list.id), speech.ofList(2, TASK, list.id));
    const todo = await make();
    const both = [await client.next(), await client.next()];
    expect(both).toContainEqual(taskEvent(1, 'CREATED', shown(todo)));
    expect(both).toContainEqual(taskEvent(2, 'CREATED', shown(todo)));

    await client.quietly(speech.unsubscribe(1));
    const done = await change(todo, { completed: true });
    expect(await client.next()).toEqual(taskEvent(2, 'UPDATED', shown(done)));
    await client.calm();

    await client.quietly(speech.unsubscribe(2));
    await change(todo, { title: 'changed' });
    await client.calm();
  });

  it('takes the same id twice for one subscription more, and ends them one by one', async () => {
    await client.quietly(speech.ofList('x', TASK, list.id), speech.ofList('x', TASK, list.id));
    const todo = await make();
    expect([await client.next(), await client.next()]).toEqual([
      taskEvent('x', 'CREATED', shown(todo)),
      taskEvent('x', 'CREATED', shown(todo)),
    ]);
    await client.quietly(speech.unsubscribe('x'));
    await change(todo, { completed: true });
    expect(await client.next()).toMatchObject({ action: 'UPDATED' });
    await client.calm();
    await client.quietly(speech.unsubscribe('x'));
    expect(await client.ask(speech.unsubscribe('x'))).toEqual({ ...speech.unknown, [speech.idField]: 'x' });
  });

  it('gives one broadcast to each of two subscriptions that cover a row', async () => {
    const todo = await make();
    await client.quietly(speech.row('row', TASK, todo.id), speech.ofList('list', TASK, list.id));
    await change(todo, { completed: true });
    const ids = [await client.next(), await client.next()].map((frame) => frame[speech.idField]);
    expect(ids.sort()).toEqual(['list', 'row']);
    await client.calm();
  });

  it('refuses to end what was never begun', async () => {
    expect(await client.ask(speech.unsubscribe(404))).toEqual({ ...speech.unknown, [speech.idField]: 404 });
  });

  it('keeps subscriptions of one generation apart from those of the other', async () => {
    const other = SPEECH[generation === FIRST ? SECOND : FIRST];
    const todo = await make();
    await client.quietly(speech.row(1, TASK, todo.id));
    expect(await client.ask(other.unsubscribe(1))).toMatchObject({ ...other.unknown, [other.idField]: 1 });
    await change(todo, { title: 'still' });
    expect(await client.next()).toMatchObject({ type: 'broadcast', [speech.idField]: 1 });
  });

  it('compares values as text', async () => {
    await client.quietly(
      speech.ofList('text', TASK, String(list.id)),
      speech.ofList('no text of an id', TASK, `0${list.id}`),
      speech.ofList('nor this', TASK, true),
    );
    await make();
    expect(await client.next()).toMatchObject({ action: 'CREATED', [speech.idField]: 'text' });
    await client.calm();
  });

  it('narrows by keyword arguments', async () => {
    const more = { [generation === FIRST ? 'kwargs' : 'query_params']: { done: true, search: 'HELLO' } };
    await client.quietly(speech.ofList(1, TASK, list.id, more));
    await make('hello world');
    const todo = await make('hello done', { completed: true });
    expect(await client.next()).toEqual(taskEvent(1, 'CREATED', shown(todo)));
    await change(todo, { completed: false });
    expect(await client.next()).toEqual(taskEvent(1, 'DELETED', gone(todo)));
    await change(todo, { title: 'hello, not done' });
    const back = await change(todo, { completed: true });
    expect(await client.next()).toEqual(taskEvent(1, 'CREATED', shown(back)));
    const search = await change(todo, { title: 'another world' });
    expect(await client.next()).toEqual(taskEvent(1, 'DELETED', gone(search)));
    await client.calm();
  });

  it('sends a row that becomes visible, or no longer is, by a change of its owner', async () => {
    const annId = await idOf('ann');
    const todo = await make();
    await client.quietly(speech.ofList(1, TASK, list.id));
    const own = await LiveClient.open(app, ann);
    await own.quietly(speech.ofList(1, TASK, list.id));

    await change(todo, { ownerId: annId });
    expect(await client.next()).toEqual(taskEvent(1, 'DELETED', gone(todo)));
    expect(await own.next()).toMatchObject({ action: 'UPDATED' });
    await change(todo, { title: 'a secret' });
    expect(await own.next()).toMatchObject({ action: 'UPDATED' });
    await client.calm();
    const shared = await change(todo, { ownerId: null });
    expect(await client.next()).toEqual(taskEvent(1, 'CREATED', shown(shared)));
    await own.close();
  });

  it('shows in a row what its viewer may see', async () => {
    const owner = await LiveClient.open(app, ann);
    const tasks = [await make('for all'), await make('for Ann', { ownerId: await idOf('ann') })].map(shown);
    for (const one of [client, owner]) {
      await one.quietly(speech.row(1, 'todolist.List', list.id));
    }
    await app.app.services.database.todoList.update({ where: { id: list.id }, data: { name: 'Renamed' } });
    const renamed = { id: list.id, name: 'Renamed' };
    expect(await client.next()).toEqual(
      broadcast(generation, 1, 'todolist.List', 'UPDATED', { ...renamed, tasks: tasks.slice(0, 1) }),
    );
    expect(await owner.next()).toEqual(broadcast(generation, 1, 'todolist.List', 'UPDATED', { ...renamed, tasks }));
    await owner.close();
  });

  it('serves two views of the same rows', async () => {
    await client.quietly(speech.ofList('task', TASK, list.id), speech.ofList('todo', 'todos.Todo', list.id));
    const { id } = await make('seen twice');
    const both = [await client.next(), await client.next()];
    expect(both).toContainEqual(taskEvent('task', 'CREATED', { id, text: 'seen twice', done: false }));
    expect(both).toContainEqual(
      broadcast(generation, 'todo', 'todos.Todo', 'CREATED', { id, title: 'seen twice', completed: false }),
    );
  });

  it('is not silenced by a subscription that sees nothing', async () => {
    const hidden = await make('hidden', { ownerId: await idOf('ann') });
    await client.quietly(speech.ofList('nothing', TASK, 2_000_000_000), speech.ofList('something', TASK, list.id));
    await change(hidden, { title: 'still hidden' });
    await make('visible');
    expect(await client.next()).toMatchObject({ [speech.idField]: 'something', action: 'CREATED' });
    await client.calm();
  });

  it('stops for a socket that is gone', async () => {
    const other = await LiveClient.open(app);
    await other.quietly(speech.ofList(1, TASK, list.id));
    other.raw.terminate();
    await make();
    await client.calm();
  });
});

async function idOf(username: string): Promise<number> {
  const { id } = await app.app.services.database.user.findFirstOrThrow({ where: { username } });
  return id;
}

describe('the first generation', () => {
  it('sends a row that is created after the subscription', async () => {
    const { id } = await make();
    await client.quietly({ request_id: 1, model: TASK, value: id + 1 });
    const todo = await make('the next');
    expect(todo.id).toBe(id + 1);
    expect(await client.next()).toEqual(broadcast(FIRST, 1, TASK, 'CREATED', shown(todo)));
  });

  it.each(['arguments', 'kwargs'])('takes %s', async (name) => {
    const todo = await make();
    await client.quietly(
      { request_id: 'here', model: TASK, value: todo.id, [name]: { list: list.id } },
      { request_id: 'elsewhere', model: TASK, value: todo.id, [name]: { list: list.id + 1 } },
    );
    await change(todo, { completed: true });
    expect(await client.next()).toMatchObject({ request_id: 'here' });
    await client.calm();
  });

  it('gives nothing, and no error, to whom the rows are not for', async () => {
    await client.quietly({ request_id: 1, model: 'posts.Post', value: 1 });
    await app.app.services.database.post.create({ data: { title: 'For the signed in', content: '…' } });
    await client.calm();
    await client.quietly({ request_id: 1, unsubscribe: true });
  });

  it.each([[1], ['yes'], [[0]], [{ a: 1 }]])('takes %j for true', async (unsubscribe) => {
    expect(await client.ask({ request_id: 1, unsubscribe })).toMatchObject(SPEECH.first.unknown);
  });

  it.each([[0], [''], [[]], [{}], [null], [false]])('takes %j for false', async (unsubscribe) => {
    expect(await client.ask({ request_id: 1, unsubscribe })).toMatchObject({ message: 'No model specified' });
  });
});

describe('the second generation', () => {
  it('takes all rows of a model for a list', async () => {
    await client.quietly({ type: 'subscribe', id: 1, model: TASK, action: 'list' });
    const todo = await make();
    expect(await client.next()).toEqual(broadcast(SECOND, 1, TASK, 'CREATED', shown(todo)));
    const loose = await app.app.services.database.todo.create({ data: { title: 'in no list' } });
    expect(await client.next()).toEqual(broadcast(SECOND, 1, TASK, 'CREATED', shown(loose)));
  });

  it.each([
    ['an unknown row', () => 2_000_000_000],
    ['no row', () => undefined],
    ['what is no id', () => 'abc'],
    ['a list', () => [1]],
    ['a row that is not visible', async () => (await make('hidden', { ownerId: await idOf('ann') })).id],
  ])('finds nothing for %s', async (_name, lookup) => {
    const frame = { type: 'subscribe', id: 1, model: TASK, action: 'retrieve', lookup_by: await lookup() };
    expect(await client.ask(frame)).toEqual({
      type: 'error',
      id: 1,
      code: 404,
      message: "Instance not found. Make sure 'lookup_by' is set to a valid ID",
    });
    expect(await client.ask({ type: 'unsubscribe', id: 1 })).toMatchObject({ code: 404 });
  });

  it('finds nothing for a row outside of what its arguments name', async () => {
    const { id } = await make();
    const frame = { type: 'subscribe', id: 1, model: TASK, action: 'retrieve', lookup_by: id };
    expect(await client.ask({ ...frame, view_kwargs: { list: list.id + 1 } })).toMatchObject({ code: 404 });
    await client.quietly({ ...frame, view_kwargs: { list: list.id } });
  });

  it.each([
    ['posts.Post', 'list', {}],
    ['posts.Post', 'retrieve', { lookup_by: 1 }],
    ['chat.ChatSession', 'list', {}],
    ['chat.ChatSessionMessage', 'list', {}],
    ['chat.ChatSessionMessage', 'retrieve', { lookup_by: 1 }],
  ])('refuses %s to anonymous callers (%s)', async (model, action, more) => {
    expect(await client.ask({ type: 'subscribe', id: 1, model, action, ...more })).toEqual({
      type: 'error',
      id: 1,
      code: 403,
      message: `Unauthorized to subscribe to ${model} for action ${action}`,
    });
    await client.quietly({ type: 'subscribe', id: 1, model: TASK, action: 'list' });
    await make();
    expect(await client.next()).toMatchObject({ type: 'broadcast', id: 1, action: 'CREATED' });
  });
});
