import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { RawSocket } from '../kit/socket.ts';
import { type Frame, LiveClient } from './client.ts';

const TASK = 'todolist.Task';
const ACTION = '`action` must be present and the value must be either `list` or `retrieve`.';

let app: TestApp;
let client: LiveClient;

beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.close());
beforeEach(async () => {
  client = await LiveClient.open(app);
});
afterEach(() => client.close());

const first = (code: number, message: string, id: unknown = 1): Frame => ({
  type: 'error',
  request_id: id,
  code,
  message,
});
const second = (code: number, message: string, id: unknown = 1): Frame => ({ type: 'error', id, code, message });
const subscribe = { type: 'subscribe', id: 1, model: TASK, action: 'list' };
const NO_OBJECT = first(400, 'The frame must be a JSON object.', null);

describe('a frame that cannot be done', () => {
  it.each<[string, unknown, Frame]>([
    ['no model', { request_id: 1 }, first(400, 'No model specified')],
    ['a null model', { request_id: 1, model: null, value: 1 }, first(400, 'No model specified')],
    ['no value', { request_id: 1, model: TASK }, first(400, 'No value specified in subscription')],
    ['a null value', { request_id: 1, model: TASK, value: null }, first(400, 'No value specified in subscription')],
    [
      'a value that is a list',
      { request_id: 1, model: TASK, value: [1] },
      first(400, '`value` must be a string, a number or a boolean.'),
    ],
    [
      'a value that is an object',
      { request_id: 1, model: TASK, value: {} },
      first(400, '`value` must be a string, a number or a boolean.'),
    ],
    [
      'an unknown model',
      { request_id: 1, model: 'nope.X', value: 1 },
      first(404, 'Model nope.X not registered for realtime updates.'),
    ],
    [
      'a model that is no text',
      { request_id: 1, model: { a: 1 }, value: 1 },
      first(404, 'Model {…} not registered for realtime updates.'),
    ],
    [
      'a model that every object has',
      { request_id: 1, model: 'constructor', value: 1 },
      first(404, 'Model constructor not registered for realtime updates.'),
    ],
    [
      'an unknown group',
      { request_id: 1, model: TASK, group_by: 'owner_id', value: 1 },
      first(400, 'Model todolist.Task cannot be grouped by owner_id.'),
    ],
    [
      'a group that only narrows',
      { request_id: 1, model: TASK, group_by: 'search', value: 1 },
      first(400, 'Model todolist.Task cannot be grouped by search.'),
    ],
    [
      'a group of another model',
      { request_id: 1, model: 'notes.Note', group_by: 'list_id', value: 1 },
      first(400, 'Model notes.Note cannot be grouped by list_id.'),
    ],
    [
      'a group that is no text',
      { request_id: 1, model: TASK, group_by: ['pk'], value: 1 },
      first(400, 'Model todolist.Task cannot be grouped by […].'),
    ],
    [
      'arguments that are no object',
      { request_id: 1, model: TASK, value: 1, arguments: [14] },
      first(400, '`arguments` must be an object.'),
    ],
    [
      'an argument that is no value',
      { request_id: 1, model: TASK, value: 1, arguments: { list: { id: 1 } } },
      first(400, '`list` must be a string, a number or a boolean.'),
    ],
    [
      'an argument that is not true or false',
      { request_id: 1, model: TASK, value: 1, arguments: { done: 'perhaps' } },
      first(400, 'Must be a valid boolean.'),
    ],
    [
      'a cursor that is no text',
      { request_id: 1, model: TASK, value: 1, after: 5 },
      first(400, 'The cursor is malformed.'),
    ],
    [
      'a cursor that is none',
      { request_id: 1, model: TASK, value: 1, after: 'x' },
      first(400, 'The cursor is malformed.'),
    ],
    ['no request id', { model: TASK, value: 1 }, first(400, 'No request_id specified.', null)],
    ['a null request id', { request_id: null, unsubscribe: true }, first(400, 'No request_id specified.', null)],
    [
      'a request id that is a list',
      { request_id: [1], model: TASK, value: 1 },
      first(400, '`request_id` must be a string, a number or a boolean.', null),
    ],
    [
      'a request id of too many digits',
      `{"request_id":1${'0'.repeat(1000)},"model":"todolist.Task","value":1}`,
      first(400, '`request_id` has more than 1000 characters.', null),
    ],
    ['no model', { ...subscribe, model: undefined }, second(400, 'No model specified.')],
    [
      'an unknown model',
      { ...subscribe, model: 'nope.X' },
      second(404, 'Model nope.X not registered for realtime updates.'),
    ],
    [
      'a model that is a number',
      { ...subscribe, model: 5 },
      second(404, 'Model 5 not registered for realtime updates.'),
    ],
    ['no action', { ...subscribe, action: undefined }, second(400, ACTION)],
    ['an unknown action', { ...subscribe, action: 'create' }, second(400, ACTION)],
    ['an action that is no text', { ...subscribe, action: ['list'] }, second(400, ACTION)],
    ['an unknown type', { type: 'nope', id: 1 }, second(400, 'unknown message type `nope`.')],
    ['no type', { id: 1 }, second(400, 'unknown message type `None`.')],
    ['a type that is no text', { type: true, id: 1 }, second(400, 'unknown message type `True`.')],
    ['a long type', { type: 'x'.repeat(1000), id: 1 }, second(400, `unknown message type \`${'x'.repeat(100)}…\`.`)],
    ['no id', { ...subscribe, id: undefined }, second(400, 'No id specified.', null)],
    [
      'an id that is an object',
      { ...subscribe, id: {} },
      second(400, '`id` must be a string, a number or a boolean.', null),
    ],
    [
      'kwargs that are no object',
      { ...subscribe, view_kwargs: 'list' },
      second(400, '`view_kwargs` must be an object.'),
    ],
    [
      'parameters that are no object',
      { ...subscribe, query_params: 1 },
      second(400, '`query_params` must be an object.'),
    ],
    ['what is no JSON', '{"request_id": 1', NO_OBJECT],
    ['nothing', '', NO_OBJECT],
    ['a JSON text', '"subscribe"', NO_OBJECT],
    ['a JSON number', '1', NO_OBJECT],
    ['a JSON list', '[{"request_id":1}]', NO_OBJECT],
    ['a JSON null', 'null', NO_OBJECT],
    ['an empty object', {}, first(400, 'No request_id specified.', null)],
    [
      'much nesting',
      `${'['.repeat(50_000)}${']'.repeat(50_000)}`,
      first(400, 'The JSON has more than 10000 values.', null),
    ],
    ['some nesting', `${'['.repeat(5000)}${']'.repeat(5000)}`, NO_OBJECT],
  ])('with %s is answered, and the socket lives (%#)', async (_name, frame, answer) => {
    expect(await client.ask(frame)).toEqual(answer);
    await client.quietly({ request_id: 'alive', model: TASK, value: 1 });
  });

  it('is answered when it is binary, too', async () => {
    client.raw.socket.send(Buffer.from([0xff, 0x00, 0x7b]));
    expect(await client.next()).toEqual(NO_OBJECT);
  });
});

describe('an id', () => {
  it.each([[1337], ['text'], [''], [0], [-1.5], [true], [false], ['ünï 😀'], ['\ud800'], ['__proto__']])(
    'of %j comes back as it came',
    async (id) => {
      expect(await client.ask({ request_id: id, unsubscribe: true })).toHaveProperty('request_id', id);
      expect(await client.ask({ type: 'unsubscribe', id })).toHaveProperty('id', id);
    },
  );

  it('of another type is another id', async () => {
    await client.quietly({ ...subscribe, id: 1 });
    expect(await client.ask({ type: 'unsubscribe', id: '1' })).toMatchObject({ id: '1', code: 404 });
    expect(await client.ask({ type: 'unsubscribe', id: true })).toMatchObject({ id: true, code: 404 });
    await client.quietly({ type: 'unsubscribe', id: 1 });
  });
});

it('passes over what it does not know', async () => {
  await client.quietly(
    { ...subscribe, view_kwargs: { unknown: [1], toString: 1, list: null }, query_params: null, extra: true },
    {
      request_id: 1,
      model: TASK,
      value: 1,
      arguments: null,
      kwargs: { message: 'hello' },
      group_by: null,
      after: null,
    },
  );
});

it('writes the keys of its messages in the order of the documents', async () => {
  await client.quietly({ request_id: 1, model: TASK, group_by: 'list_id', value: 0 }, { ...subscribe, id: 2 });
  const { id } = await app.app.services.database.todo.create({ data: { title: 'test' } });
  expect(await client.raw.frames.next()).toBe(
    `{"type":"broadcast","id":2,"model":"todolist.Task","action":"CREATED","instance":{"id":${id},"text":"test","done":false}}`,
  );
  client.raw.send({ request_id: 3, unsubscribe: true });
  expect(await client.raw.frames.next()).toBe(
    '{"type":"error","request_id":3,"code":400,"message":"Attempted to unsubscribe for request ID before subscribing."}',
  );
  await app.app.services.database.todo.delete({ where: { id } });
  expect(await client.raw.frames.next()).toBe(
    `{"type":"broadcast","id":2,"model":"todolist.Task","action":"DELETED","instance":{"pk":${id},"id":${id}}}`,
  );
});

it('answers at the path with and without its slash, and nowhere near it', async () => {
  const bare = new RawSocket(`${app.url}/ws/subscribe`);
  await bare.opened;
  bare.terminate();
  for (const path of ['/ws/subscribe/x', '/ws', '/subscribe/']) {
    await expect(new RawSocket(`${app.url}${path}`).opened).rejects.toThrow('404');
  }
});

describe('a number', () => {
  it.each(['1', '1.0', '1e2', '1E400', '12345678901234567890', '0.10'])(
    'is sent back as it came when it is an id: %s',
    async (id) => {
      client.raw.send(`{"request_id":${id},"unsubscribe":true}`);
      expect(await client.raw.frames.next('frame')).toContain(`"request_id":${id},`);
      client.raw.send(`{"type":"nope","id":${id}}`);
      expect(await client.raw.frames.next('frame')).toContain(`"id":${id},`);
    },
  );

  it('ends the subscription of the same id', async () => {
    const todo = await app.app.services.database.todo.create({ data: { title: 't' } });
    await client.quietly(
      `{"request_id":1.0,"model":"${TASK}","value":${todo.id}}`,
      `{"request_id":1.50,"unsubscribe":0.0,"model":"${TASK}","value":${todo.id}}`,
      '{"request_id":1.0,"unsubscribe":true}',
    );
    await app.app.services.database.todo.update({ where: { id: todo.id }, data: { completed: true } });
    expect(await client.raw.frames.next('frame')).toContain('"request_id":1.50,');
    await client.calm();
  });

  it.each(['1.0', '10e-1', '1.00', '1E0', '1.0000000000000001'])(
    'matches no id when it is written as %s',
    async (value) => {
      const { database } = app.app.services;
      await database.todo.deleteMany({ where: { id: 1 } });
      const todo = await database.todo.create({ data: { id: 1, title: 't' } });
      await client.quietly(
        `{"request_id":1,"model":"${TASK}","value":${value}}`,
        `{"type":"subscribe","id":2,"model":"${TASK}","action":"list","query_params":{"pk":${value}}}`,
        `{"type":"subscribe","id":3,"model":"${TASK}","action":"list","query_params":{"pk":1,"search":"t","search":"T"},"note":1.5}`,
      );
      await database.todo.update({ where: { id: todo.id }, data: { completed: true } });
      expect(await client.next()).toMatchObject({ id: 3, action: 'UPDATED' });
      await client.calm();
    },
  );

  it('selects by a boolean as the original did', async () => {
    const { database } = app.app.services;
    const todo = await database.todo.create({ data: { title: 't' } });
    await client.quietly(
      `{"type":"subscribe","id":1,"model":"${TASK}","action":"list","query_params":{"done":1.0,"pk":${todo.id}}}`,
    );
    await database.todo.update({ where: { id: todo.id }, data: { completed: true } });
    expect(await client.next()).toMatchObject({ id: 1, action: 'CREATED' });
  });
});
