import {
  createSession,
  createTransport,
  type LiveData,
  resumable,
  snapshotThenStream,
  type Transport,
} from 'tidings-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { type Gate, startGate } from './gate.ts';

const PASSWORD = 'a good long password';
const TODOS = `query Todos { cursor todos(first: 100) { totalCount pageInfo { hasNextPage } nodes { id title } } }`;
const CHANGES = `subscription TodoChanges($after: String) { todoChanged(after: $after) { action cursor id todo { id title } } }`;
interface Todos {
  readonly todos: {
    readonly totalCount: number;
    readonly nodes: readonly { readonly id: string; readonly title: string }[];
  };
}

let app: TestApp;
let other: TestApp;
let gate: Gate;
let count = 0;
let ann: Person;
let transport: Transport;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  app = await startApp({ ALLOW_ANONYMOUS: 'false' });
  other = await startApp({ ALLOW_ANONYMOUS: 'false' });
});
afterAll(() => Promise.all([app.close(), other.close()]));
beforeEach(async () => {
  gate = await startGate(app.url);
  ann = await app.signUp(`ann${count++}`);
});
afterEach(async () => {
  for (const close of closers.splice(0)) {
    await close();
  }
  await gate.close();
});

const tokenOf = ({ authorization }: Person) => authorization?.replace('Bearer ', '') ?? '';
const make = (person: Person, title: string) =>
  person.gql('mutation ($title: String!) { createTodo(input: { title: $title }) { ... on Todo { id } } }', { title });

function open(options: object = {}): Transport {
  transport = createTransport({
    url: `${gate.url}/graphql`,
    getToken: () => tokenOf(ann),
    webSocketImpl: WebSocket,
    retryDelay: () => 20,
    ...options,
  });
  closers.push(transport.close);
  return transport;
}

/** Reads a live list in the background. */
function watch(of: Transport) {
  const seen: LiveData<Todos>[] = [];
  const controller = new AbortController();
  const ended = (async () => {
    for await (const step of snapshotThenStream<Todos>(of, {
      query: TODOS,
      subscription: CHANGES,
      signal: controller.signal,
    })) {
      seen.push(step);
    }
  })();
  ended.catch(() => undefined);
  closers.push(() => controller.abort());
  return { seen, ended, titles: () => seen.at(-1)?.data.todos.nodes.map(({ title }) => title) ?? null };
}

const TIMES = { timeout: 10_000, interval: 10 };

describe('a live list', () => {
  it('should have every change across losses of the connection', async () => {
    await make(ann, 'first');
    const list = watch(open());
    await expect.poll(list.titles, TIMES).toEqual(['first']);
    await make(ann, 'second');
    await expect.poll(list.titles, TIMES).toEqual(['first', 'second']);
    gate.shut();
    await expect.poll(() => transport.getState().status, TIMES).toBe('offline');
    await make(ann, 'third');
    gate.open();
    await expect.poll(list.titles, TIMES).toEqual(['first', 'second', 'third']);
    await expect.poll(() => transport.getState().status, TIMES).toBe('live');
    expect(list.seen.filter(({ event }) => event === null)).toHaveLength(1);
  });

  it('should load another snapshot after RESYNC_REQUIRED', async () => {
    const list = watch(open());
    await expect.poll(list.titles, TIMES).toEqual([]);
    await expect.poll(() => transport.getState().status, TIMES).toBe('live');
    await app.sql('UPDATE "User" SET "isStaff" = ? WHERE "username" = ?', true, ann.username);
    await expect.poll(() => list.seen.filter(({ event }) => event === null).length, TIMES).toBe(2);
    await make(ann, 'after');
    await expect.poll(list.titles, TIMES).toContain('after');
  });

  it('should end with a SignedOutError when its token is refused', async () => {
    const errors: string[] = [];
    const list = watch(open({ onSignedOut: ({ name }: Error) => errors.push(name) }));
    await expect.poll(() => transport.getState().status, TIMES).toBe('live');
    await ann.gql('mutation { destroyAuthToken }');
    await expect(list.ended).rejects.toThrow('ended');
    expect(transport.getState()).toMatchObject({ status: 'signed-out' });
    expect(errors).toEqual(['SignedOutError']);
  });
});

describe('a session', () => {
  it('should keep a list live by refreshed tokens, and end it when it signs out', async () => {
    const short = await startApp({ ALLOW_ANONYMOUS: 'false', ACCESS_TOKEN_LIFE_S: '2' });
    closers.push(short.close);
    await short.signUp('ben');
    const session = createSession({ url: `${short.url}/graphql` });
    await session.signIn('ben', PASSWORD);
    const states: string[] = [];
    const of = createTransport({ url: `${short.url}/graphql`, session, webSocketImpl: WebSocket });
    closers.push(of.close);
    of.subscribe(() => states.push(of.getState().status));
    const list = watch(of);
    await expect.poll(() => of.getState().status, TIMES).toBe('live');
    const first = await session.getToken();
    await expect.poll(async () => (await session.getToken()) !== first, TIMES).toBe(true);
    const second = await session.getToken();
    await expect.poll(async () => (await session.getToken()) !== second, TIMES).toBe(true);
    await of.request('mutation { createTodo(input: { title: "late" }) { __typename } }');
    await expect.poll(list.titles, TIMES).toEqual(['late']);
    expect(states).toEqual(['connecting', 'catching-up', 'live']);
    await session.signOut();
    await expect(list.ended).rejects.toThrow('signed out');
    expect(of.getState().status).toBe('signed-out');
  });
});

describe('a subscription', () => {
  it('should refuse a document that cannot be resumed', async () => {
    const events = resumable(open(), 'subscription { todoChanged { action id } }');
    await expect(events.next()).rejects.toThrow('$after');
  });
});
