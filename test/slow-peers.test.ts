import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { RawSocket } from './kit/socket.ts';

const TIMEOUT_MS = 1000;
/** What a time-out may take beside itself: the checks, and other tests on the same machine. */
const GRACE_MS = 10_000;
const TRICKLE_MS = 100;
const QUERY = JSON.stringify({ query: '{ __typename }' });

let app: TestApp;
beforeAll(async () => {
  app = await startApp({
    HEADERS_TIMEOUT_MS: String(TIMEOUT_MS),
    IDLE_TIMEOUT_MS: String(TIMEOUT_MS),
    SOCKET_INIT_TIMEOUT_MS: String(TIMEOUT_MS),
    BODY_MIN_BYTES_PER_S: '1000',
  });
});
afterAll(() => app.close());

function open(): { socket: Socket; received: () => string; ended: Promise<void> } {
  const { hostname, port } = new URL(app.url);
  const socket = connect(Number(port), hostname);
  let text = '';
  socket.on('data', (data) => {
    text += String(data);
  });
  socket.on('error', () => undefined);
  return { socket, received: () => text, ended: new Promise((resolve) => socket.once('close', () => resolve())) };
}

/** How long a connection lives, in milliseconds, and what it received. */
async function lifeOf(act: (socket: Socket) => void): Promise<{ ms: number; text: string }> {
  const { socket, received, ended } = open();
  const start = performance.now();
  act(socket);
  await ended;
  return { ms: performance.now() - start, text: received() };
}

/** Writes a text one character after the other, until the connection ends. */
function trickle(socket: Socket, text: string): void {
  const characters = [...text];
  const timer = setInterval(() => socket.write(characters.shift() ?? ' '), TRICKLE_MS);
  socket.once('close', () => clearInterval(timer));
}

const head = (path: string, length: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${length}\r\n\r\n`;

describe('a connection', () => {
  it.each<[string, (socket: Socket) => void, RegExp]>([
    ['sends nothing', () => undefined, /^(HTTP\/1.1 408 .*)?$/s],
    [
      'sends its headers slowly',
      (socket) => trickle(socket, `GET /health HTTP/1.1\r\nX: ${'x'.repeat(1000)}`),
      /^HTTP\/1.1 408 /,
    ],
    [
      'sends nothing after an answer',
      (socket) => socket.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n'),
      /^HTTP\/1.1 200 /,
    ],
    [
      'sends its second headers slowly',
      (socket) => {
        socket.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n');
        trickle(socket, `GET /health HTTP/1.1\r\nX: ${'x'.repeat(1000)}`);
      },
      /^HTTP\/1.1 200 .*HTTP\/1.1 408 /s,
    ],
    [
      'sends a body slowly',
      (socket) => {
        socket.write(head('/graphql', 'Content-Length: 1000'));
        trickle(socket, QUERY);
      },
      /^HTTP\/1.1 408 /,
    ],
    [
      'sends a body of a documented path slowly',
      (socket) => {
        socket.write(head('/notes', 'Content-Length: 1000'));
        trickle(socket, QUERY);
      },
      /^HTTP\/1.1 408 /,
    ],
    [
      'sends a body in chunks slowly',
      (socket) => {
        socket.write(head('/graphql', 'Transfer-Encoding: chunked'));
        const timer = setInterval(() => socket.write('1\r\n \r\n'), TRICKLE_MS);
        socket.once('close', () => clearInterval(timer));
      },
      /^HTTP\/1.1 408 /,
    ],
    [
      'stops in the middle of a body',
      (socket) => socket.write(`${head('/graphql', 'Content-Length: 500000')}${' '.repeat(400_000)}`),
      /^HTTP\/1.1 408 /,
    ],
    [
      'sends a body slowly that nobody wants',
      (socket) => {
        socket.write(head('/nowhere', 'Content-Length: 1000'));
        trickle(socket, QUERY);
      },
      /^HTTP\/1.1 404 /,
    ],
    [
      'asks for an unknown socket and stays',
      (socket) => socket.write('GET /ws/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
      /^HTTP\/1.1 404 /,
    ],
  ])('should be ended when it %s', async (_what, act, expected) => {
    const { ms, text } = await lifeOf(act);
    expect(text).toMatch(expected);
    // A body may be slow once its first period is over.
    expect(ms).toBeLessThan(2 * TIMEOUT_MS + GRACE_MS);
  });

  it('should be answered when its body is slow, but not too slow', async () => {
    const { socket, received, ended } = open();
    socket.write(head('/graphql', 'Content-Length: 12000').replace('Host', 'Connection: close\r\nHost'));
    const body = QUERY.padEnd(12_000);
    for (let at = 0; at < body.length; at += 400) {
      socket.write(body.slice(at, at + 400));
      await sleep(TRICKLE_MS);
    }
    await ended;
    expect(received()).toMatch(/^HTTP\/1.1 200 .*"__typename":"Query"/s);
  });

  it('should be ended when it reads nothing of a long answer', async () => {
    const { socket, ended } = open();
    socket.pause();
    const aliases = Array.from(
      { length: 30 },
      (_, index) => `a${index}: __schema { types { name description fields { name description } } }`,
    );
    const query = JSON.stringify({ query: `{ ${aliases.join(' ')} }` });
    for (let time = 0; time < 20; time += 1) {
      socket.write(`${head('/graphql', `Content-Length: ${query.length}`)}${query}`);
    }
    const start = performance.now();
    // The end of a connection that is paused shows in its writes.
    const timer = setInterval(() => socket.write(' '), TRICKLE_MS);
    await ended;
    clearInterval(timer);
    expect(performance.now() - start).toBeLessThan(2 * TIMEOUT_MS + 2 * GRACE_MS);
  });

  it('should live on as an event stream and as a socket', async () => {
    const stream = await app.anonymous.fetch(
      `/graphql?query=${encodeURIComponent('subscription { todoChanged { action } }')}`,
      { headers: { accept: 'text/event-stream' } },
    );
    const socket = new RawSocket(`${app.url}/ws/subscribe/`);
    await socket.opened;
    await sleep(3 * TIMEOUT_MS);
    await app.anonymous.gql('mutation { createTodo(input: { title: "late" }) { __typename } }');
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('CREATED')) {
      const { value, done } = (await reader?.read()) ?? { done: true };
      expect(done).toBe(false);
      text += value ?? '';
    }
    await reader?.cancel();
    socket.send('{}');
    expect(await socket.nextJson()).toMatchObject({ type: 'error' });
    socket.terminate();
  });
});

describe('a socket', () => {
  it('should be closed when it sends no connection_init', async () => {
    const socket = new RawSocket(`${app.url}/graphql`, { protocols: ['graphql-transport-ws'] });
    await socket.opened;
    const start = performance.now();
    expect(await socket.closed).toMatchObject({ code: 4408 });
    expect(performance.now() - start).toBeLessThan(TIMEOUT_MS + GRACE_MS);
  });
});

describe('HEAD and GET', () => {
  const MUTATION = 'mutation { createTodo(input: { title: "written" }) { __typename } }';
  const count = async (): Promise<number> => (await app.anonymous.gql('{ todos { totalCount } }')).todos.totalCount;

  it.each(['*/*', 'application/json', 'text/event-stream', 'application/graphql-response+json'])(
    'should run no mutation, accepting %s',
    async (accept) => {
      const before = await count();
      for (const method of ['HEAD', 'GET']) {
        const path = `/graphql?query=${encodeURIComponent(MUTATION)}`;
        const response = await app.anonymous.fetch(path, { method, headers: { accept } });
        expect([method, response.status]).toEqual([
          method,
          accept === 'text/event-stream' && method === 'GET' ? 200 : 405,
        ]);
        expect(await response.text()).not.toContain('"data"');
      }
      expect(await count()).toBe(before);
    },
  );

  it('should open no stream by HEAD', async () => {
    const path = `/graphql?query=${encodeURIComponent('subscription { todoChanged { action } }')}`;
    const response = await app.anonymous.fetch(path, { method: 'HEAD', headers: { accept: 'text/event-stream' } });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, POST');
  });
});
