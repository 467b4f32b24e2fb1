import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { EventSource } from 'eventsource';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { privateDatabase } from '../kit/app.ts';
import { Person } from '../kit/person.ts';
import { type ServerProcess, startProcess } from '../kit/process.ts';
import { Inbox } from '../kit/socket.ts';
import { EventStream } from './streams.ts';

const PASSWORD = 'a good long password';
const MAKE = 'mutation ($title: String!) { createTodo(input: { title: $title }) { __typename } }';
/** A client that was cut off waits for three seconds before it comes back. */
const DEADLINE_MS = 15_000;

const database = privateDatabase();
const open = new Set<Socket>();
/** Stands between clients and server: it can be cut, and the server be another one. */
let proxy: Server;
let proxyUrl: string;
let server: ServerProcess;
let ann: Person;

const start = (env: Record<string, string> = {}): Promise<ServerProcess> =>
  startProcess({ DATABASE_URL: `file:${database.path}`, ...env });

beforeAll(async () => {
  server = await start();
  proxy = createServer((near) => {
    const far = connect(Number(new URL(server.url).port), '127.0.0.1');
    for (const [socket, peer] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(socket);
      socket.pipe(peer);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        peer.destroy();
      });
    }
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const address = proxy.address();
  proxyUrl = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  const visitor = new Person(server.url, null, '');
  await visitor.gql(`mutation { signUp(input: { username: "ann", password: "${PASSWORD}" }) { __typename } }`);
  ann = await visitor.signIn('ann', PASSWORD);
});
afterAll(async () => {
  cut();
  proxy.close();
  await server.stop('SIGKILL');
  database.remove();
});

const cut = (): void => {
  for (const socket of open) {
    socket.destroy();
  }
};
const make = (title: string): Promise<unknown> => new Person(server.url, ann.authorization, 'ann').gql(MAKE, { title });

/** What a browser has, behind the proxy, with the titles that it receives and how often it has connected. */
async function listen(query: string) {
  const titles = new Inbox<string>();
  const state = { opened: 0, completed: 0 };
  const source = new EventSource(`${proxyUrl}/graphql?query=${encodeURIComponent(query)}`, {
    fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, authorization: ann.authorization ?? '' } }),
  });
  source.addEventListener('next', ({ data }) => titles.put(JSON.parse(data).data.todoChanged.todo.title));
  source.addEventListener('complete', () => {
    state.completed += 1;
  });
  await new Promise((resolve) => {
    source.addEventListener('open', () => {
      state.opened += 1;
      resolve(null);
    });
  });
  return { titles, state, close: () => source.close() };
}

/** Makes todos until one arrives: the subscription has begun. */
async function begin(titles: Inbox<string>): Promise<void> {
  for (let i = 0; ; i += 1) {
    await make(`probe ${i}`);
    const arrived = await titles.next('event', 500).catch(() => null);
    if (arrived !== null) {
      while (arrived !== `probe ${i}` && (await titles.next()) !== `probe ${i}`) {}
      return;
    }
  }
}

async function expectTitles(titles: Inbox<string>, expected: readonly string[]): Promise<void> {
  for (const title of expected) {
    expect(await titles.next('event', DEADLINE_MS)).toBe(title);
  }
  expect(titles.drain()).toEqual([]);
}

const WATCH = 'subscription { todoChanged { cursor todo { title } } }';

describe('an EventSource', () => {
  it('should go on by itself where its connection was cut', async () => {
    const { titles, state, close } = await listen(WATCH);
    await begin(titles);
    await make('one');
    await expectTitles(titles, ['one']);
    cut();
    await make('two');
    await make('three');
    await expectTitles(titles, ['two', 'three']);
    await make('four');
    await expectTitles(titles, ['four']);
    expect(state).toEqual({ opened: 2, completed: 0 });
    close();
  });

  it('should go on by itself though it did not ask for the cursor', async () => {
    const { titles, close } = await listen('subscription { todoChanged { todo { title } } }');
    await begin(titles);
    cut();
    await make('two');
    await expectTitles(titles, ['two']);
    close();
  });

  it.each(['SIGKILL', 'SIGTERM'] as const)('should go on by itself with another server after a %s', async (signal) => {
    const { titles, state, close } = await listen(WATCH);
    await begin(titles);
    const finished = await server.stop(signal);
    server = await start();
    await make('two');
    await expectTitles(titles, ['two']);
    // A server that stops does not mean that there is nothing more to come.
    expect(state.completed).toBe(0);
    if (signal === 'SIGTERM') {
      expect(finished.code).toBe(0);
    }
    close();
  });
});

describe('a server that stops', () => {
  it('should not wait for connections on which nothing was asked', async () => {
    const other = await start({ SHUTDOWN_TIMEOUT_MS: '600000' });
    const stream = await EventStream.open(other.url, { query: WATCH });
    const idle = connect(Number(new URL(other.url).port), '127.0.0.1');
    await once(idle, 'connect');
    const { code } = await other.stop();
    expect(code).toBe(0);
    await stream.ended;
    idle.destroy();
  });
});
