import { once } from 'node:events';
import { request } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { RawSocket } from '../kit/socket.ts';

const PROTOCOL = 'graphql-transport-ws';
const WATCH = 'subscription { todoChanged { action todo { title } } }';
const WHO = '{ viewer { username } }';

type Message = Awaited<ReturnType<RawSocket['nextJson']>>;

let app: TestApp;
let ann: Person;
const open: RawSocket[] = [];

beforeAll(async () => {
  app = await startApp({ SOCKET_MESSAGE_LIMIT_BYTES: '4096' });
  ann = await app.signUp('ann');
});
afterAll(() => app.close());
afterEach(() => {
  for (const socket of open.splice(0)) {
    socket.terminate();
  }
});

function dial(
  url = app.url,
  options: ConstructorParameters<typeof RawSocket>[1] = { protocols: [PROTOCOL] },
): RawSocket {
  const socket = new RawSocket(`${url}/graphql`, options);
  open.push(socket);
  return socket;
}

interface Credentials {
  readonly payload?: unknown;
  readonly headers?: Record<string, string>;
}

/** Opens a socket and sends ConnectionInit. */
async function openSocket({ payload, headers = {} }: Credentials = {}, url = app.url): Promise<RawSocket> {
  const socket = dial(url, { protocols: [PROTOCOL], headers });
  await socket.opened;
  socket.send({ type: 'connection_init', ...(payload !== undefined && { payload }) });
  return socket;
}

/** Opens a socket and waits for ConnectionAck. */
async function connect(credentials: Credentials = {}, url = app.url): Promise<RawSocket> {
  const socket = await openSocket(credentials, url);
  expect(await socket.nextJson()).toEqual({ type: 'connection_ack' });
  return socket;
}

const connectAs = ({ authorization, url }: Person): Promise<RawSocket> => connect({ payload: { authorization } }, url);

function subscribe(socket: RawSocket, id: string, payload: object): void {
  socket.send({ type: 'subscribe', id, payload });
}

/** Runs an operation to its end on a socket where nothing else happens meanwhile; gives its messages. */
async function run(socket: RawSocket, id: string, payload: object): Promise<Message[]> {
  subscribe(socket, id, payload);
  const messages: Message[] = [];
  do {
    messages.push(await socket.nextJson());
  } while (messages.at(-1).type === 'next');
  expect(messages.every((message) => message.id === id)).toBe(true);
  return messages;
}

/** The result of an operation that gives one. */
async function resultOf(socket: RawSocket, query: string, variables: object = {}): Promise<Message> {
  const [first, second] = await run(socket, 'only', { query, variables });
  expect([first.type, second.type]).toEqual(['next', 'complete']);
  return first.payload;
}

/** Asks for a socket by hand and gives the code in the frame that closes it: clients hide it when they are given no protocol of theirs. */
async function closeCodeOf(protocols: string | null): Promise<number> {
  const { hostname, port } = new URL(app.url);
  const asked = request({
    hostname,
    port,
    path: '/graphql',
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...(protocols !== null && { 'sec-websocket-protocol': protocols }),
    },
  });
  asked.end();
  const [response, socket, head] = await once(asked, 'upgrade');
  expect(response.statusCode).toBe(101);
  const frame: Buffer = head.length > 0 ? head : (await once(socket, 'data'))[0];
  socket.destroy();
  // A close frame, unmasked and short: two bytes of header, then the code.
  expect(frame[0]).toBe(0x88);
  return frame.readUInt16BE(2);
}

describe('a socket', () => {
  it.each([
    'no JSON',
    '',
    'null',
    '[]',
    '"connection_init"',
    '{}',
    '{"type":"unknown"}',
    '{"type":"subscribe"}',
    '{"type":"subscribe","id":1,"payload":{"query":"{ __typename }"}}',
    '{"type":"subscribe","id":"1","payload":{"query":7}}',
    '{"type":"connection_init","payload":"ann"}',
    '{"type":"connection_ack"}',
    '{"type":"next","id":"1","payload":{}}',
    '{"type":"error","id":"1","payload":[{"message":"no"}]}',
  ])('should be closed with 4400 when it gets the message %j', async (message) => {
    const socket = await connect();
    socket.send(message);
    expect(await socket.closed).toMatchObject({ code: 4400 });
  });

  it.each([Buffer.from([0xff, 0x00, 0xfe, 0x80]), Buffer.alloc(0), Buffer.alloc(1000, 0x9d)])(
    'should be closed with 4400 when it gets binary junk (%#)',
    async (junk) => {
      const socket = await connect();
      socket.socket.send(junk, { binary: true });
      expect(await socket.closed).toMatchObject({ code: 4400 });
    },
  );

  it('should be closed with 4401 when an operation comes before ConnectionInit', async () => {
    const socket = dial();
    await socket.opened;
    subscribe(socket, '1', { query: WATCH });
    expect(await socket.closed).toMatchObject({ code: 4401 });
  });

  it('should be closed with 4401 when an operation comes before ConnectionAck', async () => {
    const socket = await openSocket({ payload: { authorization: ann.authorization } });
    subscribe(socket, '1', { query: WATCH });
    expect(await socket.closed).toMatchObject({ code: 4401 });
  });

  it.each(['Bearer junk', 'JWT a.b.c', 'Token 0123', 'Bearer', `Token ${'0'.repeat(40)}`])(
    'should be closed with 4403 and a reason when it brings the credential %j',
    async (authorization) => {
      for (const credentials of [{ payload: { authorization } }, { headers: { authorization } }]) {
        const socket = await openSocket(credentials);
        expect(await socket.closed).toEqual({ code: 4403, reason: expect.stringMatching(/^[A-Z].+\.$/) });
        expect(socket.frames.drain()).toEqual([]);
      }
    },
  );

  it.each([null, 'graphql-ws', 'soap, graphql-ws'])(
    'should be closed with 4406 when it offers the protocols %j',
    async (protocols) => {
      expect(await closeCodeOf(protocols)).toBe(4406);
    },
  );

  it('should be closed with 4408 when it never sends ConnectionInit', async () => {
    const socket = dial();
    expect(await socket.closed).toMatchObject({ code: 4408 });
  });

  it('should be closed with 4409 when two operations have one id', async () => {
    const socket = await connect();
    subscribe(socket, 'same', { query: WATCH });
    subscribe(socket, 'same', { query: WATCH });
    expect(await socket.closed).toMatchObject({ code: 4409, reason: expect.stringContaining('same') });
  });

  it('should be closed with 4429 when it sends ConnectionInit twice', async () => {
    const socket = await connect();
    socket.send({ type: 'connection_init' });
    expect(await socket.closed).toMatchObject({ code: 4429 });
  });

  it('should be closed with 1009 when a message is over the limit, and not before', async () => {
    const socket = await connect();
    const query = (length: number): string => {
      const message = (text: string) => JSON.stringify({ type: 'subscribe', id: 'big', payload: { query: text } });
      return message(`{ __typename } #${'x'.repeat(length - message('{ __typename } #').length)}`);
    };
    socket.send(query(4096));
    expect(await socket.nextJson()).toMatchObject({ type: 'next', id: 'big' });
    expect(await socket.nextJson()).toMatchObject({ type: 'complete', id: 'big' });
    socket.send(query(4097));
    expect(await socket.closed).toMatchObject({ code: 1009 });
  });

  it('should not come about on an unknown path', async () => {
    for (const path of ['/', '/graphqll', '/graphql/more', '/ws']) {
      const socket = new RawSocket(`${app.url}${path}`, { protocols: [PROTOCOL] });
      await expect(socket.opened).rejects.toThrow('404');
    }
  });

  it('should answer pings of the protocol before and after ConnectionAck, and those of WebSocket', async () => {
    const socket = dial();
    await socket.opened;
    socket.send({ type: 'ping' });
    expect(await socket.nextJson()).toEqual({ type: 'pong' });
    socket.send({ type: 'connection_init' });
    expect(await socket.nextJson()).toEqual({ type: 'connection_ack' });
    socket.send({ type: 'ping', payload: { at: 7 } });
    expect(await socket.nextJson()).toEqual({ type: 'pong', payload: { at: 7 } });
    socket.send({ type: 'pong' });
    const answered = once(socket.socket, 'pong');
    socket.socket.ping('here');
    expect(String((await answered)[0])).toBe('here');
  });
});

describe('the connection limit of a user', () => {
  it('should be as many as allowed, counted on open sockets only, and not for anonymous callers', async () => {
    const small = await startApp({ USER_MAX_SOCKETS: '2' });
    try {
      const [ben, cat] = [await small.signUp('ben'), await small.signUp('cat')];
      const [first] = [await connectAs(ben), await connectAs(ben)];
      const third = await openSocket({ payload: { authorization: ben.authorization } }, small.url);
      expect(await third.closed).toMatchObject({ code: 4429 });
      await connectAs(cat);
      await Promise.all(Array.from({ length: 4 }, () => connect({}, small.url)));
      first.socket.close();
      await first.closed;
      await connectAs(ben);
    } finally {
      await small.close();
    }
  });
});

describe('the credential of a socket', () => {
  it('should be read from the parameters of the connection or from the request, under every scheme', async () => {
    const { createAuthToken } = await app.anonymous.gql(`mutation {
      createAuthToken(input: { username: "ann", password: "a good long password" }) { ... on AuthTokenKey { authToken } }
    }`);
    const jwt = ann.authorization?.split(' ')[1];
    const key = createAuthToken.authToken;
    for (const authorization of [`Bearer ${jwt}`, `JWT ${jwt}`, `bearer ${jwt}`, `Token ${key}`, `Bearer ${key}`]) {
      const ways = [
        { payload: { authorization } },
        { payload: { Authorization: authorization } },
        { headers: { authorization } },
      ];
      for (const way of ways) {
        expect(await resultOf(await connect(way), WHO)).toEqual({ data: { viewer: { username: 'ann' } } });
      }
    }
  });

  it('should be that of the parameters when both are there', async () => {
    const ben = await app.signUp('ben');
    const headers = { authorization: ben.authorization ?? '' };
    const socket = await connect({ payload: { authorization: ann.authorization }, headers });
    expect(await resultOf(socket, WHO)).toEqual({ data: { viewer: { username: 'ann' } } });
  });

  it('should be none for other schemes and other parameters', async () => {
    for (const payload of [undefined, {}, { authorization: null }, { authorization: 7 }, { token: 'x' }]) {
      expect(await resultOf(await connect({ payload }), WHO)).toEqual({ data: { viewer: null } });
    }
  });
});

describe('operations', () => {
  it('should be distinguished by whatever id they have', async () => {
    const socket = await connect();
    for (const id of ['__proto__', 'constructor', '"}', '🍏', ' ', 'x'.repeat(500)]) {
      expect(await run(socket, id, { query: '{ __typename }' })).toEqual([
        { type: 'next', id, payload: { data: { __typename: 'Query' } } },
        { type: 'complete', id },
      ]);
    }
  });

  it('should be chosen by their name', async () => {
    const socket = await connect();
    const query = 'query A { a: __typename } query B { b: __typename }';
    const [chosen] = await run(socket, '1', { query, operationName: 'B' });
    expect(chosen.payload).toEqual({ data: { b: 'Query' } });
    for (const operationName of ['C', '', null]) {
      expect(await run(socket, '2', { query, operationName })).toEqual([
        { type: 'error', id: '2', payload: [{ message: expect.any(String), extensions: { code: 'BAD_INPUT' } }] },
      ]);
    }
    expect(await resultOf(socket, '{ __typename }')).toEqual({ data: { __typename: 'Query' } });
  });
});
