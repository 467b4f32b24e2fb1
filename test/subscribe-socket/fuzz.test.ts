import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { DEFECT, INSIDES, type Person } from '../kit/person.ts';
import { RawSocket } from '../kit/socket.ts';

const RUNS = 4_000;
const LIMIT_BYTES = 131_072;

let app: TestApp;
let people: Person[];

beforeAll(async () => {
  app = await startApp();
  people = [app.anonymous, await app.signUp('ann'), await app.signUpStaff('sue')];
  await app.app.services.database.todo.createMany({ data: [{ title: 'one' }, { title: 'two' }] });
});
afterAll(() => app.close());

const junk = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>('constructor', '__proto__', 1, 2, '1', true, null, '', 1e308, -1, [], {}),
  fc.string({ unit: 'binary', maxLength: 40 }),
);
const orJunk = (...known: unknown[]) => fc.oneof(fc.constantFrom(...known), junk);
const models = orJunk(
  'todolist.Task',
  'todos.Todo',
  'todolist.List',
  'posts.Post',
  'chat.ChatSession',
  'chat.ChatSessionMessage',
  'notes.Note',
);
const parameters = orJunk({ list: 1 }, { done: true }, { search: 'o' }, { chat_session: 1 }, { pk: 1 });
const after = orJunk(undefined, null, '0123456789abcdef:0-0', '0123456789abcdef:1-a');

const first = fc.record(
  {
    request_id: orJunk(1, 'a'),
    model: models,
    value: orJunk(1, '2'),
    group_by: orJunk('pk', 'id', 'list_id', 'chat_session_id'),
    arguments: parameters,
    kwargs: parameters,
    unsubscribe: orJunk(true, false),
    after,
  },
  { requiredKeys: [] },
);
const second = fc.record(
  {
    id: orJunk(1, 'a'),
    type: orJunk('subscribe', 'unsubscribe'),
    model: models,
    action: orJunk('list', 'retrieve'),
    lookup_by: orJunk(1, '2'),
    view_kwargs: parameters,
    query_params: parameters,
    after,
  },
  { requiredKeys: [] },
);
const text = fc.oneof(
  { weight: 4, arbitrary: fc.oneof(first, second).map((frame) => JSON.stringify(frame)) },
  { weight: 1, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  // Frames that are cut off somewhere.
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.oneof(first, second), fc.nat(200))
      .map(([frame, end]) => JSON.stringify(frame).slice(0, end)),
  },
);
const frames = fc.oneof(
  { weight: 9, arbitrary: text },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
);

it('survives every frame, and has a proper answer to it', async () => {
  const sockets = people.map(
    ({ authorization }) =>
      new RawSocket(`${app.url}/ws/subscribe/`, { headers: authorization ? { authorization } : {} }),
  );
  await Promise.all(sockets.map(({ opened }) => opened));
  let count = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.nat(sockets.length - 1),
      fc.array(frames, { minLength: 1, maxLength: 5 }),
      async (who, batch) => {
        const socket = sockets[who];
        if (!socket) {
          return;
        }
        for (const frame of batch) {
          socket.socket.send(frame);
        }
        count += 1;
        const barrier = `barrier ${count}`;
        socket.send({ request_id: barrier, unsubscribe: true });
        for (;;) {
          const answer = await socket.nextJson();
          if (answer.request_id === barrier) {
            return;
          }
          expect(answer.type).toBe('error');
          expect([400, 403, 404, 410, 429]).toContain(answer.code);
          expect(answer.message).toEqual(expect.any(String));
          expect(answer.message).not.toMatch(INSIDES);
          expect(answer.message).not.toMatch(DEFECT);
          expect('id' in answer !== 'request_id' in answer).toBe(true);
        }
      },
    ),
    { numRuns: RUNS },
  );
  for (const socket of sockets) {
    expect(socket.socket.readyState).toBe(socket.socket.OPEN);
    socket.terminate();
  }
}, 120_000);

it('closes a socket for the size of a frame alone', async () => {
  const socket = new RawSocket(`${app.url}/ws/subscribe/`);
  await socket.opened;
  socket.send('x'.repeat(LIMIT_BYTES));
  expect(await socket.nextJson()).toMatchObject({ request_id: null, code: 400 });
  socket.send('x'.repeat(LIMIT_BYTES + 1));
  expect(await socket.closed).toMatchObject({ code: 1009 });
});
