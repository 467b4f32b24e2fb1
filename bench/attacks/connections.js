// Hostile connections: garbage and slowness on the TCP port, WebSockets that break the protocol, floods of sockets that are dropped.
import { setTimeout as pause } from 'node:timers/promises';
import { frame, LEGACY_MODELS } from './load.js';
import { ANONYMOUS } from './oracle.js';

const PROTOCOL = 'graphql-transport-ws';
const FLOOD = 30;
const LIFE_MS = 2000;
const SLOW_LIFE_MS = 8000;
const HUGE = 300_000;
const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';

const START_LINES = [
  ...[
    'GET / HTTP/1.1',
    'POST /graphql HTTP/1.1',
    'POST /notes HTTP/1.1',
    'PATCH /api/todos/1 HTTP/1.0',
    'GET /ws/subscribe/ HTTP/1.1',
    'GET /graphql HTTP/1.1',
  ],
  ...[
    'GET / HTTP/9.9',
    'GET',
    'PRI * HTTP/2.0',
    `GET /${'a'.repeat(20_000)} HTTP/1.1`,
    'OPTIONS * HTTP/1.1',
    'CONNECT evil.example:443 HTTP/1.1',
    'GET http://evil.example/ HTTP/1.1',
    'G\0T / HTTP/1.1',
  ],
];
const LINES = [
  ...[
    'Host: x',
    'Host: x',
    'Host: y',
    'Content-Length: 5',
    'Content-Length: 3',
    'Content-Length: -1',
    'Content-Length: 99999999999999',
    'Content-Length: 5, 6',
    'Content-Length : 5',
  ],
  ...[
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: gzip, chunked',
    'Transfer-Encoding: xchunked',
    'transfer-encoding:\tchunked',
    'Expect: 100-continue',
    'Content-Type: application/json',
  ],
  ...[
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Version: 99',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    'Sec-WebSocket-Key: x',
    'Sec-WebSocket-Protocol: graphql-transport-ws',
    'Sec-WebSocket-Extensions: permessage-deflate; x=y',
  ],
  ...[
    '',
    'ffffffffffff',
    '5\r\nhello',
    '0',
    '-1',
    '5;ext="\0"',
    '{"query":"{__typename}"}',
    ' folded: line',
    'no colon',
    ': empty',
    'A: \0',
    `X: ${'x'.repeat(17_000)}`,
    'Cookie: a',
    'Authorization: Bearer',
  ],
];
const TLS_HELLO = Buffer.from('160301020001000 1fc0303'.replace(' ', ''), 'hex');

/** Bytes that are not, or hardly, HTTP; several requests on one connection among them. */
function garbage(random) {
  if (random.chance(0.15)) {
    return random.oneOf([
      random.bytes(random.between(1, 2000)),
      TLS_HELLO,
      Buffer.alloc(random.between(1, 50_000)),
      Buffer.from('\r\n'.repeat(5000)),
    ]);
  }
  const requests = Array.from({ length: random.between(1, 3) }, () => {
    const lines = Array.from({ length: random.between(0, 8) }, () => random.oneOf(LINES));
    return `${[random.oneOf(START_LINES), ...lines].join(random.chance(0.9) ? '\r\n' : '\n')}\r\n\r\n`;
  });
  return Buffer.from(requests.join(''), 'latin1');
}

async function sendGarbage(world, random) {
  const bytes = garbage(random);
  const ends = random.chance(0.5);
  await world.client.tcp(
    'attack: raw bytes',
    (socket) => {
      socket.write(bytes);
      if (ends) {
        socket.end();
      }
      setTimeout(() => socket.destroy(), ends ? LIFE_MS : random.between(1, LIFE_MS)).unref();
    },
    { sent: bytes.toString('latin1') },
  );
}

/** Lies about the length of a body: less, more, or bytes after it that look like a request of somebody else. */
async function lieAboutLength(world, random) {
  const body = '{"query":"{ todos { nodes { title } } viewer { username } }"}';
  const smuggled = 'GET /notes HTTP/1.1\r\nHost: x\r\n\r\n';
  const length = body.length + random.oneOf([-20, -1, 1, 1000]);
  const head = `POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;
  const text = random.oneOf([
    `${head}Content-Length: ${length}\r\n\r\n${body}${smuggled}`,
    `${head}Content-Length: ${body.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    `${head}Transfer-Encoding: chunked\r\n\r\n${random.oneOf(['zz', 'fffffffffffffffff', '-5', '1;'.repeat(5000)])}\r\n${body}\r\n0\r\n\r\n`,
    `${head}Transfer-Encoding: chunked\r\n\r\n${(body.length + 5).toString(16)}\r\n${body}`,
    `${head}Content-Length: ${body.length}\r\n\r\n${body}${smuggled.repeat(random.between(1, 200))}`,
  ]);
  await world.client.tcp(
    'attack: length and chunks',
    (socket) => {
      socket.write(text);
      setTimeout(() => socket.destroy(), random.between(100, LIFE_MS)).unref();
    },
    { sent: text },
  );
}

/** Connections that are silent, that send a byte now and then, or that read nothing of a long answer. */
function slow(world, random) {
  const kind = 'attack: slow connection';
  const text = random.oneOf([
    '',
    'GET /notes HTTP/1.1\r\nHost: x\r\n',
    'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"query":"',
    `GET /graphql HTTP/1.1\r\nHost: x\r\n${UPGRADE}Sec-WebSocket-Protocol: ${PROTOCOL}\r\n\r\n`,
    'GET /notes HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(300),
  ]);
  const reads = random.chance(0.5);
  // The worker does not wait for it.
  world.client.tcp(
    kind,
    (socket) => {
      socket.write(text);
      if (!reads) {
        socket.pause();
      }
      const drip = setInterval(() => socket.write('a'), 500);
      socket.once('close', () => clearInterval(drip));
      setTimeout(() => socket.destroy(), random.between(1000, SLOW_LIFE_MS)).unref();
    },
    { sent: text },
  );
  return pause(random.between(1, 50));
}

/** A frame as bytes, of any flags, operation code and stated length. */
function rawFrame(random) {
  const payload = random.bytes(random.between(0, 130));
  const first = random.oneOf([0x81, 0x82, 0x80, 0x01, 0x00, 0x89, 0x8a, 0x88, 0xf1, 0x83, 0x8f, 0x09]);
  const masked = random.chance(0.7) ? 0x80 : 0;
  const lengths = [
    Buffer.from([masked | Math.min(125, payload.length)]),
    Buffer.from([masked | 126, 0xff, 0xff]),
    Buffer.from([masked | 127, ...(random.chance(0.5) ? Array(8).fill(0xff) : [0, 0, 0, 0, 0x40, 0, 0, 0])]),
  ];
  return Buffer.concat([
    Buffer.from([first]),
    random.oneOf(lengths),
    masked ? random.bytes(4) : Buffer.alloc(0),
    payload,
  ]);
}

const SOCKET_PATHS = ['/graphql', '/ws/subscribe/', '/ws/chats/0123456789ab4cd/', '/0123456789ab4cd', '/ws/', '/'];

async function breakFraming(world, random) {
  const protocol = random.oneOf([PROTOCOL, 'graphql-ws', 'x, y', PROTOCOL]);
  const head = `GET ${random.oneOf(SOCKET_PATHS)} HTTP/1.1\r\nHost: x\r\n${UPGRADE}Sec-WebSocket-Protocol: ${protocol}\r\n\r\n`;
  await world.client.tcp('attack: frames', (socket) => {
    socket.write(head);
    if (random.chance(0.3)) {
      socket.write(rawFrame(random));
    }
    socket.once('data', () => {
      for (let count = random.between(1, 5); count > 0; count -= 1) {
        socket.write(rawFrame(random));
      }
    });
    setTimeout(() => socket.destroy(), random.between(50, LIFE_MS)).unref();
  });
}

const SUBSCRIBE = (id, query = 'subscription { todoChanged { action } }') => ({
  id,
  type: 'subscribe',
  payload: { query },
});
/** Messages of graphql-transport-ws in no order that it allows, and others. */
const MESSAGES = [
  () => ({ type: 'connection_init' }),
  (random) => ({
    type: 'connection_init',
    payload: random.oneOf([
      null,
      1,
      'x',
      { authorization: {} },
      { authorization: 'Bearer a.b.c' },
      { __proto__: null, constructor: 1 },
    ]),
  }),
  (random) => SUBSCRIBE(random.oneOf(['1', '1', '', 1, null, '__proto__', 'x'.repeat(5000)])),
  (random) =>
    SUBSCRIBE(
      'q',
      random.oneOf([
        '{ __typename }',
        '{',
        'mutation { setTyping(uri: "x") }',
        '{ __schema { types { name } } }',
        'subscription { nothing }',
        null,
        5,
      ]),
    ),
  (random) => ({ id: random.oneOf(['1', 'never', 5]), type: 'complete' }),
  () => ({ type: 'ping', payload: { a: 1 } }),
  () => ({ type: 'pong' }),
  () => ({ type: 'connection_ack' }),
  () => ({ id: '1', type: 'next', payload: {} }),
  () => ({ type: '__proto__' }),
  () => ({ id: '1', type: 'start', payload: { query: '{ __typename }' } }),
  () => [],
  () => 'x',
  () => null,
  (random) => ({
    id: '9',
    type: 'subscribe',
    payload: {
      query: '{ __typename }',
      variables: random.oneOf([1, [], 'x', { a: 'x'.repeat(50_000) }]),
      extensions: random.oneOf([1, [], { persistedQuery: 1 }]),
    },
  }),
  (random) => ({
    request_id: random.oneOf([1, '', null, {}, true, 1e300]),
    model: random.oneOf([...LEGACY_MODELS, '__proto__', 1]),
    value: random.oneOf([1, '', {}, [], null]),
    group_by: random.oneOf(['pk', '__proto__', 1]),
  }),
  (random) => ({
    type: 'subscribe',
    id: random.between(0, 3),
    model: random.oneOf(LEGACY_MODELS),
    action: random.oneOf(['list', 'retrieve', 'x']),
    lookup_by: random.oneOf([1, '__proto__', {}]),
    query_params: random.oneOf([{ search: 'zq' }, { done: 'maybe' }, { constructor: 1 }, 1]),
    after: random.oneOf([null, '', 'x', 5]),
  }),
  (random) => ({ type: 'unsubscribe', id: random.between(0, 3) }),
];

function hostileMessage(random) {
  const text = frame(random.oneOf(MESSAGES)(random));
  return random.weighted([
    [10, () => text],
    [2, () => text.slice(0, random.between(0, text.length))],
    [1, () => 'x'.repeat(HUGE)],
    [1, () => '['.repeat(random.between(10, 60_000))],
    [1, () => random.bytes(random.between(1, 200))],
    [1, () => ' '.repeat(random.between(1, 1000))],
  ])();
}

async function confuse(world, random) {
  const path = random.oneOf(['/graphql', '/graphql', '/ws/subscribe/', `/ws/chats/${random.oneOf(world.chats).uri}/`]);
  const viewer = random.chance(0.5) ? ANONYMOUS : world.credentialOf(world.someone());
  const socket = await world.client.socket('attack: messages', viewer, path, {
    protocol: path === '/graphql' ? PROTOCOL : undefined,
  });
  if (!socket) {
    return;
  }
  if (random.chance(0.6) && path === '/graphql') {
    socket.send('{"type":"connection_init"}');
    await pause(random.between(0, 60));
  }
  for (let count = random.between(1, 12); count > 0; count -= 1) {
    socket.send(hostileMessage(random));
    if (random.chance(0.2) && socket.readyState === socket.OPEN) {
      socket.ping('x'.repeat(random.between(0, 125)));
    }
  }
  await pause(random.between(10, 500));
  random.oneOf([() => socket.close(), () => socket.terminate(), () => socket.close(4999, 'x'.repeat(100))])();
}

/** Many sockets at once, each dropped at some moment of its opening. */
async function flood(world, random) {
  const path = random.oneOf(['/graphql', '/ws/subscribe/', `/ws/chats/${random.oneOf(world.chats).uri}/`]);
  const viewer = random.chance(0.5) ? ANONYMOUS : world.credentialOf(world.someone());
  const open = async () => {
    if (random.chance(0.3)) {
      await world.client.tcp('attack: flood', (socket) => {
        if (random.chance(0.5)) {
          socket.write('GET /notes HTTP/1.1\r\n');
        }
        setTimeout(
          () => random.oneOf([() => socket.destroy(), () => socket.resetAndDestroy()])(),
          random.between(0, 20),
        );
      });
      return;
    }
    const opening = world.client.socket('attack: flood', viewer, path, {
      protocol: path === '/graphql' ? PROTOCOL : undefined,
    });
    const socket = await opening;
    socket?.send('{"type":"connection_init"}');
    for (let id = 0; id < 5; id += 1) {
      socket?.send(frame(SUBSCRIBE(String(id))));
    }
    await pause(random.between(0, 20));
    socket?.terminate();
  };
  await Promise.all(Array.from({ length: FLOOD }, open));
}

export const CONNECTIONS = [
  [5, sendGarbage],
  [3, lieAboutLength],
  [1, slow],
  [3, breakFraming],
  [5, confuse],
  [0.5, flood],
];
