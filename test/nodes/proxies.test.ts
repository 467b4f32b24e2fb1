import { once } from 'node:events';
import * as http from 'node:http';
import { connect } from 'node:http2';
import * as https from 'node:https';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { WebSocket } from 'ws';
import { type App, createApp } from '../../src/app.ts';
import { parseConfig } from '../../src/config/config.ts';
import { startApp, type TestApp } from '../kit/app.ts';
import { describeWith, type Present } from '../kit/present.ts';
import {
  type Certificate,
  makeCertificate,
  type RunningProxy,
  startCaddy,
  startHaproxy,
  startNginx,
} from '../kit/proxies.ts';
import { Inbox } from '../kit/socket.ts';

/** Longer than the health checks of the proxies need to notice. */
const DRAIN_MS = 3_000;
const CALLERS = 4;
const MAKE = 'mutation ($title: String!) { createTodo(input: { title: $title }) { __typename } }';
const CHANGES = 'subscription { todoChanged { todo { title } } }';
const PASSWORD = 'a good long password';

interface Starter {
  readonly need: keyof Present;
  readonly hasTls: boolean;
  readonly start: (program: string, upstreams: readonly string[], certificate: Certificate) => Promise<RunningProxy>;
}

const PROXIES: Readonly<Record<string, Starter>> = {
  nginx: { need: 'nginx', hasTls: false, start: (program, upstreams) => startNginx(program, upstreams) },
  'nginx with TLS': { need: 'nginx', hasTls: true, start: startNginx },
  haproxy: { need: 'haproxy', hasTls: true, start: startHaproxy },
  Caddy: { need: 'caddy', hasTls: true, start: startCaddy },
};

let certificate: Certificate;
let first: TestApp;
let second: App;
const running = new Map<string, RunningProxy>();
const urlOf = (name: string): string => running.get(name)?.url ?? '';

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: the tests look into answers of many shapes, and a wrong shape fails the test.
  readonly body: any;
}

/** Sends a request of GraphQL, or with `path` a GET request; `from` is one of this machine's addresses. */
function call(
  url: string,
  {
    query,
    variables,
    path = '/graphql',
    headers,
    from,
  }: {
    query?: string;
    variables?: object;
    path?: string;
    headers?: Record<string, string>;
    from?: string;
  },
): Promise<Answer> {
  const { request } = url.startsWith('https') ? https : http;
  return new Promise((resolve, reject) => {
    const options = {
      agent: false,
      ca: certificate.pem,
      method: query === undefined ? 'GET' : 'POST',
      localAddress: from,
      headers: { accept: 'application/json', 'content-type': 'application/json', ...headers },
    };
    const sent = request(`${url}${path}`, options, async (response) => {
      const text = (await response.setEncoding('utf8').toArray()).join('');
      const isJson = /json/.test(response.headers['content-type'] ?? '');
      resolve({ status: response.statusCode ?? 0, body: isJson ? JSON.parse(text) : text });
    });
    sent.once('error', reject).end(query === undefined ? undefined : JSON.stringify({ query, variables }));
  });
}

function putTitles(text: string, titles: Inbox<string>): void {
  for (const [, title = ''] of text.matchAll(/"title":"([^"]+)"/g)) {
    titles.put(title);
  }
}

/** Calls until a subscription, which may not be in force yet, delivers what is written. Returns the first title that it delivers. */
async function firstTitle(url: string, titles: Inbox<string>): Promise<string> {
  let count = 0;
  const writing = setInterval(() => call(url, { query: MAKE, variables: { title: `live ${count++}` } }), 100);
  return titles.next('event').finally(() => clearInterval(writing));
}

beforeAll(async () => {
  const present = inject('present');
  certificate = present.openssl ? makeCertificate(present.openssl) : { folder: '', pem: '', remove: () => undefined };
  first = await startApp({ TRUST_PROXY: '1', DRAIN_MS: String(DRAIN_MS) });
  const settings = {
    PORT: '0',
    HOST: '127.0.0.1',
    LOG_LEVEL: 'silent',
    TRUST_PROXY: '1',
    MAX_EVENT_LOOP_DELAY_MS: '0',
  };
  second = await createApp(parseConfig({ ...first.databaseEnv, ...settings, MAX_ANONYMOUS_WRITES: '100000000' }));
  const upstreams = [first.url, await second.listen()];
  for (const [name, { need, hasTls, start }] of Object.entries(PROXIES)) {
    const program = present[need];
    if (program && (present.openssl || !hasTls)) {
      running.set(name, await start(program, upstreams, certificate));
    }
  }
});
afterAll(async () => {
  await Promise.all([...running.values()].map((proxy) => proxy.stop()));
  await Promise.all([first.close(), second.close()]);
  certificate.remove();
});

for (const [name, { need, hasTls }] of Object.entries(PROXIES)) {
  const define = (): void => {
    it('should pass on queries and mutations', async () => {
      const title = `by ${name}`;
      const made = await call(urlOf(name), { query: MAKE, variables: { title } });
      expect([made.status, made.body.data.createTodo.__typename]).toEqual([200, 'Todo']);
      const query = `{ todos(filter: { titleContains: "${title}" }, first: 1) { nodes { title } } }`;
      expect((await call(urlOf(name), { query })).body.data.todos.nodes).toEqual([{ title }]);
    });

    it('should pass on the address of the caller, the host and the scheme, whatever the caller writes', async () => {
      const username = `ann${Object.keys(PROXIES).indexOf(name)}`;
      const headers = {
        'x-forwarded-for': '203.0.113.9',
        'x-forwarded-host': 'evil.example',
        'x-forwarded-proto': 'gopher',
      };
      const caller = { headers, from: '127.0.1.2' };
      await call(urlOf(name), {
        ...caller,
        query: 'mutation ($input: SignUpInput!) { signUp(input: $input) { __typename } }',
        variables: { input: { username, password: PASSWORD } },
      });
      const { body } = await call(urlOf(name), {
        ...caller,
        query: 'mutation ($input: LoginInput!) { obtainToken(input: $input) { ... on TokenPair { token } } }',
        variables: { input: { username, password: PASSWORD } },
      });
      const authorization = `Bearer ${body.data.obtainToken.token}`;
      const sessions = await call(urlOf(name), {
        query: '{ viewer { sessions(first: 1) { nodes { address } } } }',
        headers: { authorization },
      });
      expect(sessions.body.data.viewer.sessions.nodes).toEqual([{ address: '127.0.1.0/24' }]);
      const post = 'createPost(input: { title: "a post", content: "x" }) { __typename }';
      const posts = `mutation { one: ${post} two: ${post} }`;
      expect((await call(urlOf(name), { query: posts, headers: { authorization } })).status).toBe(200);
      const { next } = (
        await call(urlOf(name), {
          from: caller.from,
          headers: { ...headers, authorization },
          path: '/api/posts/?limit=1',
        })
      ).body;
      expect(next).toBe(`${urlOf(name)}/api/posts/?limit=1&offset=1`);
    });

    it('should pass on a subscription over WebSocket', async () => {
      const socket = new WebSocket(`${urlOf(name).replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
        ca: certificate.pem,
      });
      const titles = new Inbox<string>();
      socket.on('open', () => socket.send('{"type":"connection_init"}'));
      socket.on('message', (data) => {
        const text = String(data);
        if (text.includes('connection_ack')) {
          socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query: CHANGES } }));
        }
        putTitles(text, titles);
      });
      expect(await firstTitle(urlOf(name), titles)).toMatch(/^live/);
      socket.terminate();
    });

    it('should pass on an event stream as it is written', async () => {
      const titles = new Inbox<string>();
      const path = `${urlOf(name)}/graphql?query=${encodeURIComponent(CHANGES)}`;
      const { get } = hasTls ? https : http;
      const request = get(path, { agent: false, ca: certificate.pem, headers: { accept: 'text/event-stream' } });
      request.on('error', () => undefined);
      request.on('response', (response) => {
        response.setEncoding('utf8').on('data', (text) => putTitles(text, titles));
        response.on('error', () => undefined);
      });
      expect(await firstTitle(urlOf(name), titles)).toMatch(/^live/);
      request.destroy();
    });

    it.runIf(hasTls)('should pass on event streams over one connection of HTTP/2', async () => {
      const session = connect(urlOf(name), { ca: certificate.pem });
      await once(session, 'connect');
      const inboxes = Array.from({ length: 8 }, () => {
        const titles = new Inbox<string>();
        const path = `/graphql?query=${encodeURIComponent(CHANGES)}`;
        const stream = session.request({ ':path': path, accept: 'text/event-stream' });
        stream.setEncoding('utf8').on('data', (text) => putTitles(text, titles));
        return titles;
      });
      const received = await Promise.all(inboxes.map((titles) => firstTitle(urlOf(name), titles)));
      expect(received).toEqual(inboxes.map(() => expect.stringMatching(/^live/)));
      session.destroy();
    });
  };
  const title = `${name} in front of two nodes`;
  describeWith(need, title, hasTls ? () => describeWith('openssl', 'with a certificate', define) : define);
}

describeWith('nginx', 'a node that stops behind proxies', () => {
  it('should lose no request', async () => {
    let isOver = false;
    const failures: string[] = [];
    const written: string[] = [];
    const write = async (name: string, caller: number): Promise<void> => {
      for (let time = 0; !isOver; time += 1) {
        const title = `${name} ${caller} ${time}`;
        try {
          const { status, body } = await call(urlOf(name), { query: MAKE, variables: { title } });
          expect([status, body]).toEqual([200, { data: { createTodo: { __typename: 'Todo' } } }]);
          written.push(title);
        } catch (error) {
          failures.push(`${title}: ${error}`);
        }
      }
    };
    const callers = [...running.keys()].flatMap((name) =>
      Array.from({ length: CALLERS }, (_, caller) => write(name, caller)),
    );
    for (const [name, proxy] of running) {
      if (name.startsWith('nginx')) {
        proxy.leaveOut(first.url);
      }
    }
    await first.app.close();
    const before = written.length;
    await expect.poll(() => written.length - before, { timeout: 20_000 }).toBeGreaterThan(callers.length * 2);
    isOver = true;
    await Promise.all(callers);
    expect(failures).toEqual([]);
    const { data } = (await call(urlOf('nginx'), { query: '{ todos(filter: { titleContains: " " }) { totalCount } }' }))
      .body;
    expect(data.todos.totalCount).toBeGreaterThanOrEqual(written.length);
  });
});
