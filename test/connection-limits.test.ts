import { request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { type Row, startApp, type TestApp } from './kit/app.ts';
import { RawSocket, SocketClient } from './kit/socket.ts';
import { EventStream } from './live/streams.ts';

const PER_ADDRESS = 3;
const IN_ALL = 8;
const WATCH = 'subscription { todoChanged { action } }';

let app: TestApp;
let count = 0;
let closing: (() => Promise<void>)[] = [];

/** An address that no other test uses, as the proxy in front writes it. */
function newPlace(): Record<string, string> {
  count += 1;
  return { 'x-forwarded-for': `10.1.${count >> 8}.${count & 0xff}` };
}

const times = <Value>(length: number, make: (index: number) => Value): Value[] =>
  Array.from({ length }, (_, index) => make(index));

/** What became of a request: it is open, or was refused with a status and a time to wait. */
type Fate = 'open' | { readonly status: number | undefined; readonly retryAfter: string | undefined };
const REFUSED = { status: 503, retryAfter: '5' };

function openSocket(path: string, headers: Record<string, string>): Promise<Fate> {
  const raw = new RawSocket(`${app.url}${path}`, {
    headers,
    protocols: path === '/graphql' ? ['graphql-transport-ws'] : [],
  });
  return new Promise((resolve, reject) => {
    raw.socket.once('unexpected-response', (_request, { statusCode, headers }) => {
      resolve({ status: statusCode, retryAfter: headers['retry-after'] });
    });
    raw.opened.then(() => {
      closing.push(async () => {
        raw.terminate();
        await raw.closed;
      });
      resolve('open');
    }, reject);
  });
}

function openStream(_path: string, headers: Record<string, string>): Promise<Fate> {
  return new Promise((resolve, reject) => {
    const query = encodeURIComponent(WATCH);
    const asked = request(`${app.url}/graphql?query=${query}`, {
      agent: false,
      headers: { accept: 'text/event-stream', ...headers },
    });
    asked.once('error', reject);
    asked.once('response', (response) => {
      response.resume();
      response.once('error', () => undefined);
      if (response.statusCode !== 200) {
        resolve({ status: response.statusCode, retryAfter: response.headers['retry-after'] });
        return;
      }
      const closed = new Promise<void>((done) => response.once('close', () => done()));
      closing.push(async () => {
        response.destroy();
        await closed;
      });
      resolve('open');
    });
    asked.end();
  });
}

const KINDS = [
  ['a GraphQL socket', '/graphql', openSocket],
  ['a change socket', '/ws/subscribe/', openSocket],
  ['a chat socket', '/ws/chats/0123456789ab4cd/', openSocket],
  ['an event stream', '/graphql', openStream],
] as const;

async function closeAll(): Promise<void> {
  await Promise.all(closing.map((close) => close()));
  closing = [];
}

afterEach(async () => {
  await closeAll();
  await app.close();
});

describe.each(KINDS)('%s', (_name, path, open) => {
  const start = async (): Promise<void> => {
    // Of chat sockets the server closes those without a credential soon after they are open.
    app = await startApp({ TRUST_PROXY: '1', CHAT_SOCKET_OPEN: 'false', ADDRESS_MAX_SOCKETS: '3', MAX_SOCKETS: '8' });
  };

  it.skipIf(path.startsWith('/ws/chats'))(
    'should be refused beyond the limit of its address, until another one is closed',
    async () => {
      await start();
      const here = newPlace();
      expect(await Promise.all(times(PER_ADDRESS, () => open(path, here)))).toEqual(times(PER_ADDRESS, () => 'open'));
      for (const [, otherPath, openOther] of KINDS) {
        expect(await openOther(otherPath, here)).toEqual(REFUSED);
      }
      expect(await open(path, newPlace())).toBe('open');
      await closing.shift()?.();
      await expect.poll(() => open(path, here)).toBe('open');
      expect(await open(path, here)).toEqual(REFUSED);
    },
  );

  it.skipIf(path.startsWith('/ws/chats'))('should be refused beyond the limit of the process', async () => {
    await start();
    expect(await Promise.all(times(IN_ALL, () => open(path, newPlace())))).toEqual(times(IN_ALL, () => 'open'));
    expect(await open(path, newPlace())).toEqual(REFUSED);
    await closeAll();
    await expect.poll(() => open(path, newPlace())).toBe('open');
  });

  it('should be counted by the network of 64 bits for IPv6', async () => {
    await start();
    const network = (index: number) => ({ 'x-forwarded-for': `2001:db8:0:1::${index + 1}` });
    await Promise.all(times(PER_ADDRESS, (index) => openSocket('/graphql', network(index))));
    expect(await open(path, network(9))).toEqual(REFUSED);
  });

  it('should leave nothing counted when it is refused or closed at once', async () => {
    await start();
    const here = newPlace();
    for (let time = 0; time < 3 * PER_ADDRESS; time += 1) {
      await open(path, here);
      await closeAll();
      await fetch(`${app.url}/ws/nowhere`, { headers: here });
    }
    await expect.poll(() => openSocket('/graphql', here)).toBe('open');
  });
});

describe('subscriptions', () => {
  const LIMITS = { TRUST_PROXY: '1', ADDRESS_MAX_SUBSCRIPTIONS: '3', MAX_SUBSCRIPTIONS: '6' };
  const TASKS = { type: 'subscribe', model: 'todolist.Task', action: 'list' };

  it('should be refused beyond the limit of their address, over every transport, until one has ended', async () => {
    app = await startApp(LIMITS);
    const here = newPlace();
    const [one, other] = [await SocketClient.open(app.url, null, here), await SocketClient.open(app.url, null, here)];
    const first = one.start(WATCH);
    other.start(WATCH);
    const legacy = new RawSocket(`${app.url}/ws/subscribe/`, { headers: here });
    await legacy.opened;
    legacy.send({ ...TASKS, id: 1 });
    legacy.send({ ...TASKS, id: 1, type: 'unsubscribe' });
    legacy.send({ ...TASKS, id: 2 });
    await expect.poll(() => app.app.services.feed.counts.streams).toBe(3);
    const message = 'Too many subscriptions from this address. End some of them, or try again later.';
    const refusal = [{ message, extensions: { code: 'RATE_LIMITED' } }];
    expect(await one.start(WATCH).ended).toMatchObject(refusal);
    legacy.send({ ...TASKS, id: 3 });
    expect(await legacy.nextJson()).toEqual({ type: 'error', id: 3, code: 429, message });
    const stream = await EventStream.open(app.url, { query: WATCH, headers: here });
    expect((await stream.result()).errors).toMatchObject(refusal);
    const elsewhere = await SocketClient.open(app.url, null, newPlace());
    elsewhere.start(WATCH);
    await expect.poll(() => app.app.services.feed.counts.streams).toBe(4);
    one.stop(first);
    await expect.poll(() => app.app.services.feed.counts.streams).toBe(3);
    legacy.send({ ...TASKS, id: 4 });
    await expect.poll(() => app.app.services.feed.counts.streams).toBe(4);
    await Promise.all([one, other, elsewhere].map((client) => client.close()));
    legacy.terminate();
    await stream.close();
  });

  it('should be refused beyond the limit of the process', async () => {
    app = await startApp(LIMITS);
    const clients = await Promise.all(times(6, () => SocketClient.open(app.url, null, newPlace())));
    for (const client of clients) {
      client.start(WATCH);
    }
    await expect.poll(() => app.app.services.feed.counts.streams).toBe(6);
    const late = await SocketClient.open(app.url, null, newPlace());
    expect(await late.start(WATCH).ended).toMatchObject([{ extensions: { code: 'OVERLOADED' } }]);
    await Promise.all([...clients, late].map((client) => client.close()));
  });

  it('should leave nothing counted when they fail to start', async () => {
    app = await startApp(LIMITS);
    const client = await SocketClient.open(app.url, null, newPlace());
    for (const query of times(4, () => 'subscription { postChanged { action } }')) {
      expect(await client.start(query).ended).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
    }
    client.start(WATCH);
    await expect.poll(() => app.app.services.feed.counts.streams).toBe(1);
    await client.close();
  });
});

describe('thirty people behind one address', () => {
  it('should not notice the limits, with the defaults', async () => {
    app = await startApp({ TRUST_PROXY: '1' });
    const office = newPlace();
    const clients = await Promise.all(times(120, () => SocketClient.open(app.url, null, office)));
    const answers = clients.flatMap((client) => times(10, () => client.start(WATCH)));
    await expect.poll(() => app.app.services.feed.counts.streams, { timeout: 20_000 }).toBe(answers.length);
    const results: Row[] = await Promise.all(clients.map((client) => client.execute('{ __typename }')));
    expect(results.every(({ errors }) => errors === undefined)).toBe(true);
    await Promise.all(clients.map((client) => client.close()));
  });
});
