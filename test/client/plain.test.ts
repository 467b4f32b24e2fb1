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

async function fetchStatus(url: string, token: string | null): Promise<number> {
  const query = encodeURIComponent('{ viewer { username } }');
  const { status } = await fetch(`${url}/graphql?query=${query}`, {
    headers: { accept: 'application/graphql-response+json', authorization: `Bearer ${token}` },
  });
  return status;
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
    const short = await startApp({ ALLOW_ANONYMOUS: 'false', ACCESS_TOKEN_LIFE_S: '6' });
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
    // The first token has expired, and the socket is the same.
    await expect.poll(() => fetchStatus(short.url, first), TIMES).toBe(401);
    await of.request('mutation { createTodo(input: { title: "late" }) { __typename } }');
    await expect.poll(list.titles, TIMES).toEqual(['late']);
    expect(states).toEqual(['connecting', 'catching-up', 'live']);
    await session.signOut();
    await expect(list.ended).rejects.toThrow('signed out');
    expect(of.getState().status).toBe('signed-out');
  });
});

describe('a transport', () => {
  const CODES = 'subscription Changes($after: String) { postChanged(after: $after) { action cursor id } }';

  it('should make no further attempt once it is signed out', async () => {
    const list = watch(open({ refresh: () => 'no.such.token' }));
    await expect.poll(() => transport.getState().status, TIMES).toBe('live');
    await ann.gql('mutation { destroyAuthToken }');
    await expect(list.ended).rejects.toThrow();
    const attempts = gate.accepted();
    await expect(watch(transport).ended).rejects.toThrow();
    expect(gate.accepted() - attempts).toBeLessThan(4);
  });

  it('should go on when the token could not be refreshed at first', async () => {
    let failures = 3;
    let token = tokenOf(ann);
    const refresh = async () => {
      if (failures-- > 0) {
        throw new TypeError('offline');
      }
      token = tokenOf(await app.anonymous.signIn(ann.username, PASSWORD));
      return token;
    };
    const list = watch(open({ getToken: () => token, refresh }));
    await expect.poll(() => transport.getState().status, TIMES).toBe('live');
    await ann.gql('mutation { destroyAuthToken }');
    ann = await app.anonymous.signIn(ann.username, PASSWORD);
    await make(ann, 'later');
    await expect.poll(list.titles, TIMES).toEqual(['later']);
    expect(failures).toBe(-1);
  });

  it('should wait for its turn when the user has too many sockets', async () => {
    const full = await startApp({ ALLOW_ANONYMOUS: 'false', USER_MAX_SOCKETS: '1' });
    closers.push(full.close);
    const carl = await full.signUp('carl');
    gate.open(full.url);
    const getToken = () => tokenOf(carl);
    const first = open({ getToken });
    await expect.poll(watch(first).titles, TIMES).toEqual([]);
    await expect.poll(() => first.getState().status, TIMES).toBe('live');
    const second = open({ getToken });
    const list = watch(second);
    await expect.poll(() => second.getState().reason, TIMES).toContain('Too many sockets');
    first.close();
    await expect.poll(() => second.getState().status, TIMES).toBe('live');
    expect(list.titles()).toEqual([]);
  });

  it('should report what needs a user, and resume as the user who signs in', async () => {
    const session = createSession({ url: `${other.url}/graphql` });
    await other.signUp(ann.username);
    const of = createTransport({
      url: `${other.url}/graphql`,
      session,
      webSocketImpl: WebSocket,
      retryDelay: () => 20,
    });
    closers.push(of.close);
    await expect(resumable(of, CODES).next()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await session.signIn(ann.username, PASSWORD);
    const changes = resumable(of, CODES);
    const first = changes.next();
    await other.subscribed(1);
    await of.request('mutation { createPost(input: { title: "a", content: "b" }) { __typename } }');
    expect((await first).value).toMatchObject({ postChanged: { action: 'CREATED' } });
    await changes.return();
  });
});

describe('a subscription', () => {
  it('should have every event once, and no more in memory than its reader may leave', async () => {
    const count = 2_500;
    const todos = resumable<{ todoChanged: { cursor: string; todo: { title: string } } }>(open(), CHANGES);
    const first = todos.next();
    await app.subscribed(1);
    await make(ann, 'first');
    const cursors = [(await first).value?.todoChanged.cursor];
    const [{ id }] = (await app.sql('SELECT "id" FROM "User" WHERE "username" = ?', ann.username)) as [{ id: number }];
    await app.sql(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
       INSERT INTO "Todo" ("title", "ownerId", "updatedAt") SELECT 'todo ' || i, ${id}, '2026-01-01T00:00:00.000+00:00' FROM n`,
    );
    // Nobody reads: the subscription ends at the server until somebody does.
    await expect.poll(() => app.subscriptions(), TIMES).toBe(0);
    const titles: (string | undefined)[] = [];
    for await (const { todoChanged } of todos) {
      cursors.push(todoChanged.cursor);
      titles.push(todoChanged.todo.title);
      if (titles.length % 700 === 0) {
        gate.cut();
      }
      if (titles.length === count) {
        break;
      }
    }
    expect(titles).toEqual(Array.from({ length: count }, (_, index) => `todo ${index + 1}`));
    expect(new Set(cursors).size).toBe(count + 1);
  });

  it('should refuse a document that cannot be resumed', async () => {
    const events = resumable(open(), 'subscription { todoChanged { action id } }');
    await expect(events.next()).rejects.toThrow('$after');
  });
});
