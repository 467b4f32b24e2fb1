import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { RawSocket } from '../kit/socket.ts';
import { LiveClient } from './client.ts';

let app: TestApp;
let ann: Person;

beforeAll(async () => {
  app = await startApp({
    SOCKET_MAX_SUBSCRIPTIONS: '3',
    USER_MAX_SOCKETS: '2',
    SOCKET_MESSAGE_LIMIT_BYTES: '1024',
  });
  ann = await app.signUp('ann');
});
afterAll(() => app.close());

const TASK = 'todolist.Task';

it('carries so many subscriptions, and one more when one has ended', async () => {
  const client = await LiveClient.open(app);
  await client.quietly(
    { request_id: 1, model: TASK, value: 1 },
    { type: 'subscribe', id: 2, model: TASK, action: 'list' },
    // One that sees nothing takes its place as well.
    { request_id: 3, model: 'posts.Post', value: 1 },
  );
  const one = { type: 'subscribe', id: 4, model: TASK, action: 'list' };
  const refusal = { type: 'error', id: 4, code: 429, message: 'A socket carries at most 3 subscriptions.' };
  expect(await client.ask(one)).toEqual(refusal);
  await client.quietly({ request_id: 3, unsubscribe: true }, one);
  expect(await client.ask(one)).toEqual(refusal);
  await client.close();
});

it('lets a user have so many sockets, anonymous callers not counted', async () => {
  const sockets = [await LiveClient.open(app, ann), await LiveClient.open(app, ann)];
  for (const one of sockets) {
    await one.quietly();
  }
  const third = await LiveClient.open(app, ann);
  expect(await third.raw.closed).toEqual({ code: 4429, reason: 'Too many sockets of this user' });
  const anonymous = await Promise.all(Array.from({ length: 5 }, () => LiveClient.open(app)));
  await Promise.all(anonymous.map((one) => one.quietly()));
  await sockets[0]?.close();
  const fourth = await LiveClient.open(app, ann);
  await fourth.quietly();
  await Promise.all([fourth, ...sockets.slice(1), ...anonymous].map((one) => one.close()));
});

it('closes on a frame that is too large', async () => {
  const client = await LiveClient.open(app);
  await client.quietly({ request_id: 1, model: TASK, value: 'x'.repeat(900) });
  client.raw.send({ request_id: 1, model: TASK, value: 'x'.repeat(1024) });
  expect(await client.raw.closed).toMatchObject({ code: 1009 });
});

it('drops a peer that does not answer, and keeps one that does', async () => {
  const other = await startApp({ KEEP_ALIVE_MS: '500' });
  const client = await LiveClient.open(other);
  const silent = new WebSocket(`${other.url.replace('http', 'ws')}/ws/subscribe/`, { autoPong: false });
  const code = await new Promise((resolve) => silent.once('close', resolve));
  expect(code).toBe(1006);
  await client.quietly();
  await client.close();
  await other.close();
});

it('takes a flood of frames without forgetting one', async () => {
  const client = await LiveClient.open(app);
  for (let id = 0; id < 2_000; id += 1) {
    client.raw.send({ request_id: id, unsubscribe: true });
  }
  for (let id = 0; id < 2_000; id += 1) {
    expect(await client.next()).toMatchObject({ request_id: id });
  }
  await client.close();
});

it('closes with 1001 when the server stops', async () => {
  const other = await startApp();
  const sockets = ['/ws/subscribe/', '/ws/subscribe'].map((path) => new RawSocket(`${other.url}${path}`));
  await Promise.all(sockets.map(({ opened }) => opened));
  await other.close();
  for (const { closed } of sockets) {
    expect(await closed).toEqual({ code: 1001, reason: 'Going away' });
  }
});
