import { request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { parseConfig } from '../src/config/config.ts';
import { startApp, type TestApp } from './kit/app.ts';

const apps: TestApp[] = [];
const start = async (env: Record<string, string>): Promise<TestApp> => {
  const app = await startApp(env);
  apps.push(app);
  return app;
};
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
});

describe('PUBLIC_URL', () => {
  /** The links of a first page of posts, and the servers of the OpenAPI document. */
  async function linksOf(app: TestApp, headers: Record<string, string> = {}) {
    const ann = await app.signUp('ann');
    for (const title of ['one', 'two']) {
      await ann.gql(
        'mutation ($title: String!) { createPost(input: { title: $title, content: "x" }) { __typename } }',
        { title },
      );
    }
    const page = await ann.fetch('/api/posts/?limit=1', { headers });
    const keyed = await ann.fetch('/api/posts/?limit=1&cursor=', { headers });
    const { servers } = await (await app.anonymous.fetch('/openapi.json')).json();
    await keyed.body?.cancel();
    return { next: (await page.json()).next, link: keyed.headers.get('link'), servers };
  }

  it('should be what links start with, whatever the request names', async () => {
    const app = await start({ PUBLIC_URL: 'https://tidings.example.org', TRUST_PROXY: '1' });
    const { next, link, servers } = await linksOf(app, { 'x-forwarded-host': 'evil.example' });
    expect(next).toBe('https://tidings.example.org/api/posts/?limit=1&offset=1');
    expect(link).toMatch(/^<https:\/\/tidings\.example\.org\/api\/posts\/\?cursor=/);
    expect(servers).toEqual([{ url: 'https://tidings.example.org' }]);
  });

  it('should otherwise be the scheme and host of the request', async () => {
    const app = await start({});
    const { next, servers } = await linksOf(app);
    expect(next).toBe(`${app.url}/api/posts/?limit=1&offset=1`);
    expect(servers).toBeUndefined();
  });
});

describe('ALLOWED_HOSTS', () => {
  const ALLOWED = 'Tidings.example.org, 127.0.0.1, [::1]:8000';

  interface Answer {
    readonly status: number;
    readonly text: string;
  }

  /** Sends a request that names a host, which `fetch` would not. */
  function ask(app: TestApp, path: string, host: string, headers: Record<string, string> = {}): Promise<Answer> {
    const method = headers['content-type'] ? 'POST' : 'GET';
    return new Promise((resolve, reject) => {
      const sent = request(`${app.url}${path}`, { method, headers: { host, ...headers } }, async (response) => {
        const chunks = await response.setEncoding('utf8').toArray();
        resolve({ status: response.statusCode ?? 0, text: chunks.join('') });
      });
      sent.once('error', reject).end(method === 'POST' ? '{"query":"{ __typename }"}' : undefined);
    });
  }

  /** Opens a WebSocket; gives the answer where it is refused. */
  function openUpgrade(app: TestApp, path: string, host: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(`${app.url.replace('http', 'ws')}${path}`, 'graphql-transport-ws', {
        headers: { host },
      });
      socket.once('unexpected-response', async (_request, response) => {
        const chunks = await response.setEncoding('utf8').toArray();
        resolve({ status: response.statusCode ?? 0, text: chunks.join('') });
      });
      socket.once('open', () => {
        socket.terminate();
        resolve({ status: 101, text: '' });
      });
      socket.once('error', reject);
    });
  }

  const JSON_BODY = { 'content-type': 'application/json' };
  const TRANSPORTS: Readonly<Record<string, (app: TestApp, host: string) => Promise<Answer>>> = {
    GraphQL: (app, host) => ask(app, '/graphql', host, JSON_BODY),
    'event streams': (app, host) => ask(app, '/graphql', host, { ...JSON_BODY, accept: 'text/event-stream' }),
    GraphiQL: (app, host) => ask(app, '/graphql', host, { accept: 'text/html' }),
    REST: (app, host) => ask(app, '/notes', host),
    'the pages of the REST paths': (app, host) => ask(app, '/docs', host),
    'unknown paths': (app, host) => ask(app, '/nowhere', host),
    'the GraphQL socket': (app, host) => openUpgrade(app, '/graphql', host),
    'the change socket': (app, host) => openUpgrade(app, '/ws/subscribe/', host),
    'the chat socket': (app, host) => openUpgrade(app, '/ws/chats/0123456789ab4cd/', host),
  };

  it.each(Object.entries(TRANSPORTS))('should have other hosts refused by %s, with the reason', async (_name, call) => {
    const app = await start({ ALLOWED_HOSTS: ALLOWED });
    for (const host of [
      'evil.example',
      'evil.example:8000',
      'tidings.example.org.evil.example',
      'xtidings.example.org',
      'localhost',
      '[::1]',
      '[::1]:8001',
      '127.0.0.1@evil.example',
      '127.0.0.1:',
    ]) {
      const { status, text } = await call(app, host);
      expect([host, status]).toEqual([host, 421]);
      expect(text).toMatch(/The server does not serve the host/);
    }
    for (const host of ['tidings.example.org', 'TIDINGS.example.org:8443', '127.0.0.1:1', '[::1]:8000']) {
      expect([host, (await call(app, host)).status]).not.toEqual([host, 421]);
    }
  });

  it('should leave health checks alone, whatever they name', async () => {
    const app = await start({ ALLOWED_HOSTS: ALLOWED });
    for (const path of ['/health', '/ready']) {
      expect((await ask(app, path, '10.1.2.3:8000')).status).toBe(200);
    }
  });

  it('should serve every host where it is not set, even with a public URL', async () => {
    const app = await start({ PUBLIC_URL: 'https://tidings.example.org' });
    for (const call of Object.values(TRANSPORTS)) {
      expect((await call(app, 'evil.example')).status).not.toBe(421);
    }
  });

  it('should have the host of the public URL among them', async () => {
    const app = await start({ PUBLIC_URL: 'https://tidings.example.org', ALLOWED_HOSTS: '127.0.0.1' });
    expect((await ask(app, '/notes', 'tidings.example.org')).status).toBe(200);
    expect((await ask(app, '/notes', 'evil.example')).status).toBe(421);
  });

  it('should be about the host that a trusted proxy names, and no other caller', async () => {
    const forwarded = { 'x-forwarded-host': 'tidings.example.org' };
    const behind = await start({ ALLOWED_HOSTS: 'tidings.example.org', TRUST_PROXY: '1' });
    expect((await ask(behind, '/notes', 'node-1:8000', forwarded)).status).toBe(200);
    expect((await ask(behind, '/notes', 'tidings.example.org', { 'x-forwarded-host': 'evil.example' })).status).toBe(
      421,
    );
    const direct = await start({ ALLOWED_HOSTS: 'tidings.example.org' });
    expect((await ask(direct, '/notes', 'evil.example', forwarded)).status).toBe(421);
  });

  it.each(['http://tidings.example.org', 'a b', '*', 'tidings.example.org:port', 'a/b'])(
    'should be refused as configuration: %j',
    (value) => {
      expect(() => parseConfig({ ALLOWED_HOSTS: value })).toThrow(/ALLOWED_HOSTS must be a list of hosts/);
    },
  );
});
