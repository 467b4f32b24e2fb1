import { once } from 'node:events';
import { createServer, IncomingMessage, request } from 'node:http';
import { type AddressInfo, Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { registerChatSocket } from '../src/chat/socket.ts';
import { ConfigError, parseConfig } from '../src/config/config.ts';
import { createAddressReader } from '../src/host/caller-address.ts';
import { createOriginReader } from '../src/host/request-origin.ts';
import { SessionCookies } from '../src/host/session-cookies.ts';
import { createContextFactory } from '../src/identity/credentials.ts';
import { registerLegacySocket } from '../src/legacy-socket/server.ts';
import { ConcurrencyLimiter } from '../src/sockets/concurrency-limiter.ts';
import { ConnectionLimiter } from '../src/sockets/connection-limiter.ts';
import { PeerLimits } from '../src/sockets/peer-limits.ts';
import { UpgradeRouter } from '../src/sockets/upgrade.ts';
import { Telemetry } from '../src/telemetry.ts';
import { startApp, type TestApp } from './kit/app.ts';
import { describeWith } from './kit/present.ts';
import { type RunningProxy, startNginx } from './kit/proxies.ts';

const MAX_FAILED_SIGN_INS = 3;
const SIGN_IN = `mutation ($input: LoginInput!) { obtainToken(input: $input) { __typename } }`;
const variablesOf = (username: string) => ({ input: { username, password: 'not the password' } });

type Headers = Record<string, string>;

/** Who calls: from which of this machine's addresses, and with which headers. */
interface Caller {
  readonly from?: string;
  readonly headers?: Headers;
}

function post(url: string, path: string, body: string, { from, headers }: Caller): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', localAddress: from, headers: { 'content-type': 'application/json', ...headers } };
    const sent = request(`${url}${path}`, options, async (response) => {
      resolve((await response.setEncoding('utf8').toArray()).join(''));
    });
    sent.once('error', reject).end(body);
  });
}

async function overSocket(url: string, username: string, { from, headers }: Caller): Promise<string> {
  const address = `${url.replace('http', 'ws')}/graphql`;
  const socket = new WebSocket(address, 'graphql-transport-ws', { localAddress: from, headers: headers ?? {} });
  const received: string[] = [];
  const done = new Promise<void>((resolve, reject) => {
    socket.once('error', reject).on('message', (data) => {
      const text = String(data);
      if (text.includes('connection_ack')) {
        const payload = { query: SIGN_IN, variables: variablesOf(username) };
        socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload }));
      } else {
        received.push(text);
        resolve();
      }
    });
  });
  await once(socket, 'open');
  socket.send('{"type":"connection_init"}');
  await done;
  socket.terminate();
  return received.join();
}

/** Signs in with a wrong password over each transport that signs in; gives the answer. */
const TRANSPORTS: Record<string, (url: string, username: string, caller: Caller) => Promise<string>> = {
  HTTP: (url, username, caller) =>
    post(url, '/graphql', JSON.stringify({ query: SIGN_IN, variables: variablesOf(username) }), caller),
  'HTTP by Yoga': (url, username, caller) =>
    post(url, '/graphql', JSON.stringify({ query: SIGN_IN, variables: variablesOf(username) }), {
      ...caller,
      headers: { ...caller.headers, accept: 'text/html, application/json;q=0.9' },
    }),
  SSE: (url, username, caller) =>
    post(url, '/graphql', JSON.stringify({ query: SIGN_IN, variables: variablesOf(username) }), {
      ...caller,
      headers: { ...caller.headers, accept: 'text/event-stream' },
    }),
  REST: (url, username, caller) => post(url, '/auth/token/create', JSON.stringify(variablesOf(username).input), caller),
  WebSocket: overSocket,
};
const LIMITED = /RATE_LIMITED|Too many failed attempts/;

/** Whether so many attempts over a transport were not limited, and the next one was. */
async function countsTogether(url: string, username: string, transport: string, callers: (time: number) => Caller) {
  const attempt = TRANSPORTS[transport];
  const answers: boolean[] = [];
  for (let time = 0; time <= MAX_FAILED_SIGN_INS; time += 1) {
    answers.push(LIMITED.test((await attempt?.(url, username, callers(time))) ?? ''));
  }
  return answers.indexOf(true) === MAX_FAILED_SIGN_INS;
}

const forged = (time: number): Headers => ({ 'x-forwarded-for': `203.0.113.${time}` });
const apps: TestApp[] = [];
const start = async (env: Record<string, string>): Promise<TestApp> => {
  const app = await startApp({ MAX_FAILED_SIGN_INS: String(MAX_FAILED_SIGN_INS), ...env });
  apps.push(app);
  return app;
};
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
});

describe('TRUST_PROXY', () => {
  it.each([
    ['', 0],
    ['false', 0],
    ['0', 0],
    ['1', 1],
    ['16', 16],
    ['10.0.0.1', ['10.0.0.1']],
    ['10.0.0.0/8, ::1,fd00::/8', ['10.0.0.0/8', '::1', 'fd00::/8']],
  ])('should take %j', (value, expected) => {
    expect(parseConfig({ TRUST_PROXY: value }).http.trustedProxies).toEqual(expected);
  });

  it.each([
    'true',
    'TRUE',
    'yes',
    '17',
    '-1',
    '1.5',
    '10.0.0.0/33',
    '10.0.0.0/0',
    '::1/129',
    '10.0.0',
    'proxy',
    '1, 2',
    ',',
  ])('should refuse %j, and say what to write', (value) => {
    const problem = /TRUST_PROXY must be false, the number of proxies in front \(1\), or their addresses/;
    expect(() => parseConfig({ TRUST_PROXY: value })).toThrow(ConfigError);
    expect(() => parseConfig({ TRUST_PROXY: value })).toThrow(problem);
  });
});

describe('the address of a caller', () => {
  const from = (peer: string, forwardedFor?: string): IncomingMessage => {
    const socket = new Socket();
    Object.defineProperty(socket, 'remoteAddress', { value: peer });
    const message = new IncomingMessage(socket);
    Object.assign(message.headers, forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor });
    return message;
  };

  it.each<[number | string[], string, string | undefined, string]>([
    [0, '192.0.2.1', undefined, '192.0.2.1'],
    [0, '192.0.2.1', '203.0.113.9', '192.0.2.1'],
    [1, '192.0.2.1', undefined, '192.0.2.1'],
    [1, '192.0.2.1', '203.0.113.9', '203.0.113.9'],
    [1, '192.0.2.1', '198.51.100.1, 203.0.113.9', '203.0.113.9'],
    [2, '192.0.2.1', '198.51.100.1, 203.0.113.9', '198.51.100.1'],
    [['192.0.2.0/24'], '192.0.2.1', '198.51.100.1, 203.0.113.9', '203.0.113.9'],
    [['192.0.2.0/24'], '::ffff:192.0.2.1', '198.51.100.1, 203.0.113.9', '203.0.113.9'],
    [['192.0.2.0/24', '203.0.113.9'], '192.0.2.1', '198.51.100.1, 203.0.113.9', '198.51.100.1'],
    [['192.0.2.0/24'], '198.51.100.7', '203.0.113.9', '198.51.100.7'],
    [['192.0.2.0/24'], '192.0.2.1', 'no address', 'no address'],
  ])('should be, where %j is trusted, %s calls and forwards for %s: %s', (proxies, peer, forwardedFor, expected) => {
    expect(createAddressReader(proxies)(from(peer, forwardedFor))).toBe(expected);
  });

  it.each(Object.keys(TRANSPORTS))('should not be what a caller without a proxy writes, over %s', async (transport) => {
    const { url } = await start({});
    expect(await countsTogether(url, 'ann', transport, (time) => ({ headers: forged(time) }))).toBe(true);
  });

  it.each(Object.keys(TRANSPORTS))('should not be what another than the proxy writes, over %s', async (transport) => {
    const { url } = await start({ TRUST_PROXY: '192.0.2.0/24' });
    expect(await countsTogether(url, 'ann', transport, (time) => ({ headers: forged(time) }))).toBe(true);
  });

  it('should be the same on the change socket and the chat socket', async () => {
    const { app, signUp } = await start({});
    const ann = await signUp('ann');
    const seen: (string | undefined)[] = [];
    const { sockets, graphql } = parseConfig({});
    const contextOf = createContextFactory(app.services, { sharesOwnerless: true, answerLimits: graphql.answer });
    const addressOf = createAddressReader(1);
    const peers = new PeerLimits(sockets, addressOf);
    const upgrades = new UpgradeRouter({
      peers,
      checkHost: null,
      telemetry: new Telemetry(),
      addressOf,
      requestIdOf: () => 'handshake',
    });
    const transport = {
      peers,
      upgrades,
      contextOf: (call: Parameters<typeof contextOf>[0]) => {
        seen.push(call.address);
        return contextOf(call);
      },
      addressOf,
      sockets,
      cookies: new SessionCookies({ originOf: createOriginReader(parseConfig({}).http).originOf, origins: [] }),
      connections: new ConnectionLimiter<number>({ perKey: 10 }),
      startLimiter: new ConcurrencyLimiter(),
      report: () => undefined,
      warn: () => undefined,
    };
    registerLegacySocket(transport, []);
    registerChatSocket(transport);
    const server = createServer();
    upgrades.attach(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    for (const path of ['/ws/subscribe/', '/ws/chats/012345678901234567890/']) {
      const headers = { authorization: ann.authorization ?? '', 'x-forwarded-for': '198.51.100.1, 203.0.113.9' };
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers });
      await once(socket, 'open');
      socket.send(JSON.stringify({ request_id: 1, model: 'todos.Todo', value: 1 }));
      // A subscription is not answered, and what is no frame is, after it.
      socket.send('{}');
      await Promise.race([once(socket, 'message'), once(socket, 'close')]);
      socket.terminate();
    }
    expect(seen.length).toBeGreaterThanOrEqual(4);
    expect(new Set(seen)).toEqual(new Set(['203.0.113.9']));
    server.closeAllConnections();
    server.close();
  });
});

describeWith('nginx', 'behind nginx', (program) => {
  let app: TestApp;
  let proxy: RunningProxy;
  beforeAll(async () => {
    app = await startApp({ TRUST_PROXY: '1', MAX_FAILED_SIGN_INS: String(MAX_FAILED_SIGN_INS) });
    proxy = await startNginx(program, [app.url]);
  });
  afterAll(async () => {
    await proxy.stop();
    await app.close();
  });

  it.each(Object.keys(TRANSPORTS))('should count the attempts of each caller, over %s', async (transport) => {
    const name = `ann${Object.keys(TRANSPORTS).indexOf(transport)}`;
    const callers = (time: number): Caller => ({ from: '127.0.0.2', headers: forged(time) });
    expect(await countsTogether(proxy.url, name, transport, callers)).toBe(true);
    // Another caller, with the same proxy in between.
    expect(await TRANSPORTS[transport]?.(proxy.url, name, { from: '127.0.0.3' })).not.toMatch(LIMITED);
    // The first one, over whatever other transport.
    for (const other of Object.values(TRANSPORTS)) {
      expect(await other(proxy.url, name, { from: '127.0.0.2', headers: forged(99) })).toMatch(LIMITED);
    }
  });
});
