import { get } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { type Person, SIGN_IN, signInPage } from './kit/person.ts';
import { RawSocket, SocketClient } from './kit/socket.ts';

const PASSWORD = 'a good long password';
const JSON_TYPE = 'application/json';
const ME = '{ viewer { username } }';
const CREATE = 'mutation { createTodo(input: { title: "x" }) { __typename } }';
const NAMED = 'https://app.example.org';

type Headers = Record<string, string>;

let app: TestApp;
let page: Person;
let cookie: string;
let uri: string;
beforeAll(async () => {
  app = await startApp({ CORS_ORIGINS: `*, ${NAMED}` });
  await app.signUp('ann');
  page = await signInPage(app.url, 'ann');
  cookie = page.headers['cookie'] ?? '';
  uri = (await page.gql('mutation { createChatSession { ... on ChatSession { uri } } }')).createChatSession.uri;
});
afterAll(() => app.close());

/** What browsers say of requests that the cookie must not count for, where these change something. */
const CROSS_ORIGIN: Readonly<Record<string, Headers>> = {
  'a page of another site': { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
  'a page of another port of this machine': { origin: 'http://127.0.0.1:1', 'sec-fetch-site': 'same-site' },
  'a page of the same host behind TLS': { origin: 'https://127.0.0.1' },
  'a page that hides its origin': { origin: 'null' },
  'an origin that begins as ours': { origin: 'http://127.0.0.1:80000.evil.example' },
};
/** The same, that name no origin. */
const NAMELESS: Readonly<Record<string, Headers>> = {
  'a page of another site, without its origin': { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' },
  'a page of the same site, without its origin': { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors' },
};
const OURS: () => Readonly<Record<string, Headers>> = () => ({
  'a page of ours': { origin: app.url, 'sec-fetch-site': 'same-origin' },
  'a page of ours that names no origin': { 'sec-fetch-site': 'same-origin' },
  'a page of a named origin': { origin: NAMED, 'sec-fetch-site': 'same-site' },
});

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function ask(path: string, init: Omit<RequestInit, 'headers'> & { headers: Headers }): Promise<Answer> {
  const response = await app.anonymous.fetch(path, { ...init, headers: { cookie, ...init.headers } });
  return { status: response.status, text: await response.text() };
}

const post = (query: string, accept: string) => (headers: Headers) =>
  ask('/graphql', {
    method: 'POST',
    body: JSON.stringify({ query }),
    headers: { 'content-type': JSON_TYPE, accept, ...headers },
  });
const rest = (method: string, path: string, body?: unknown) => (headers: Headers) =>
  ask(path, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body) }),
    headers: { 'x-requested-with': 'page', ...(body !== undefined && { 'content-type': JSON_TYPE }), ...headers },
  });

/** Requests that could change something, of each transport. */
const CHANGES: Readonly<Record<string, (headers: Headers) => Promise<Answer>>> = {
  'a query by POST': post(ME, JSON_TYPE),
  'a mutation': post(CREATE, JSON_TYPE),
  'a mutation by Yoga': post(CREATE, 'text/plain, application/json;q=0.5'),
  'a mutation over an event stream': post(CREATE, 'text/event-stream'),
  'POST by REST': rest('POST', '/api/chats/'),
  'POST of a form by REST': (headers) =>
    ask('/api/chats/', {
      method: 'POST',
      body: new URLSearchParams({ a: 'b' }),
      headers: { 'x-requested-with': 'page', ...headers },
    }),
  'PATCH by REST': rest('PATCH', '/auth/me/', { email: 'ann@example.org' }),
  'PUT by REST': rest('PUT', '/auth/me/', { email: 'ann@example.org' }),
  'DELETE by REST': rest('DELETE', '/notes/1'),
};
const REFUSED = /cookie is for pages of http:\/\/127\.0\.0\.1:\d+ alone/;

describe.each(Object.entries(CHANGES))('%s with the cookie', (_name, change) => {
  it.each(Object.entries({ ...CROSS_ORIGIN, ...NAMELESS, 'no browser at all': {} }))(
    'should be refused from %s',
    async (_from, headers) => {
      const { status, text } = await change(headers);
      expect(text).toMatch(REFUSED);
      expect(text.startsWith('{"detail"') ? status : 403).toBe(403);
      expect(text).not.toMatch(/"username"|"uri"|"Todo"/);
    },
  );

  it('should be taken from a page of ours', async () => {
    for (const headers of Object.values(OURS())) {
      expect((await change(headers)).text).not.toMatch(/cookie/);
    }
  });
});

describe('what a form can send', () => {
  it.each(['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/plain', 'Text/Plain;x=y', ''])(
    'should be refused by REST even from a page of ours: %j',
    async (type) => {
      const headers = { origin: app.url, ...(type && { 'content-type': type }) };
      const { status, text } = await ask('/api/chats/', { method: 'POST', headers });
      expect([status, text]).toEqual([403, expect.stringContaining('X-Requested-With')]);
    },
  );

  it.each([{ 'content-type': JSON_TYPE }, { 'content-type': 'text/plain', 'x-requested-with': 'page' }])(
    'should be accepted with %j',
    async (headers) => {
      const { status } = await ask('/api/chats/', {
        method: 'POST',
        headers: { origin: app.url, ...headers } as Headers,
      });
      expect(status).toBe(200);
    },
  );

  it('should never be GraphQL', async () => {
    for (const type of ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain']) {
      const headers = { origin: app.url, 'content-type': type, 'x-requested-with': 'page' };
      expect((await ask('/graphql', { method: 'POST', body: '{"query":"{viewer{id}}"}', headers })).status).toBe(415);
    }
  });
});

describe('a request that only reads, with the cookie', () => {
  const READS: Readonly<Record<string, (headers: Headers) => Promise<Answer>>> = {
    GraphQL: (headers) => ask(`/graphql?query=${encodeURIComponent(ME)}`, { headers }),
    'an event stream': (headers) =>
      ask(`/graphql?query=${encodeURIComponent(ME)}`, { headers: { accept: 'text/event-stream', ...headers } }),
    REST: (headers) => ask('/auth/me/', { headers }),
  };

  it.each(Object.entries(READS))(
    'should be refused by %s from scripts and elements of other origins',
    async (_name, read) => {
      for (const headers of [...Object.values(CROSS_ORIGIN), ...Object.values(NAMELESS)]) {
        expect((await read(headers)).text).toMatch(REFUSED);
      }
    },
  );

  it.each(Object.entries(READS))('should be answered by %s', async (_name, read) => {
    for (const headers of [...Object.values(OURS()), { 'sec-fetch-site': 'none' }, {}]) {
      expect((await read(headers as Headers)).text).toContain('"ann"');
    }
  });

  it('should be answered to a person who follows a link of another site', async () => {
    const headers = { cookie, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    // `fetch` says itself what it is.
    const answer = new Promise<string>((resolve, reject) => {
      get(`${app.url}/auth/me/`, { headers }, async (response) => {
        resolve((await response.setEncoding('utf8').toArray()).join(''));
      }).once('error', reject);
    });
    expect(await answer).toContain('"ann"');
  });
});

describe('signing in and out', () => {
  const answers = async (headers: Headers, query: string) => {
    const response = await app.anonymous.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': JSON_TYPE, ...headers },
      body: JSON.stringify({ query, variables: { input: { username: 'ann', password: PASSWORD } } }),
    });
    return { cookies: response.headers.getSetCookie(), text: await response.text() };
  };

  it.each(Object.entries({ ...CROSS_ORIGIN, ...NAMELESS }))('should be refused from %s', async (_name, headers) => {
    for (const [query, extra] of [
      [SIGN_IN, {}],
      ['mutation { signOut }', { cookie }],
    ] as const) {
      const { cookies, text } = await answers({ ...headers, ...extra }, query);
      expect(text).toMatch(REFUSED);
      expect(text).toContain('FORBIDDEN');
      expect(cookies).toEqual([]);
    }
    expect((await page.gql(ME)).viewer.username).toBe('ann');
  });

  it('should work from a named origin', async () => {
    expect((await answers({ origin: NAMED }, SIGN_IN)).cookies).toHaveLength(1);
  });
});

describe('a WebSocket that a browser opens with the cookie', () => {
  const who = async (headers: Headers): Promise<string | null> => {
    const socket = await SocketClient.open(app.url, null, { cookie, ...headers });
    const { data } = await socket.execute(ME);
    await socket.close();
    return data.viewer?.username ?? null;
  };
  const chat = async (headers: Headers): Promise<number | 'open'> => {
    const { cursor } = await page.gql('{ cursor }');
    const socket = new RawSocket(`${app.url}/${uri}?after=${cursor}`, { headers: { cookie, ...headers } });
    await page.gql(`mutation { sendMessage(uri: "${uri}", message: "hello") { __typename } }`);
    const message = socket.nextJson().then(() => 'open' as const);
    const fate = await Promise.race([socket.closed.then(({ code }) => code), message]);
    message.catch(() => undefined);
    socket.terminate();
    return fate;
  };
  const change = async (headers: Headers): Promise<unknown> => {
    const socket = new RawSocket(`${app.url}/ws/subscribe/`, { headers: { cookie, ...headers } });
    await socket.opened;
    socket.send({ type: 'subscribe', id: 1, model: 'posts.Post', action: 'list' });
    // The answer to this one comes after that to the subscription, which is none where it was taken.
    socket.send({ type: 'nope', id: 2 });
    const { code } = await socket.nextJson();
    socket.terminate();
    return code === 403 ? null : 'ann';
  };

  it.each(Object.entries(CROSS_ORIGIN))('should be anonymous from %s', async (_name, headers) => {
    expect(await who(headers)).toBeNull();
    expect(await change(headers)).toBeNull();
    expect(await chat(headers)).toBe(4401);
  });

  it('should be of the user from a page of ours, a named origin, and a program', async () => {
    for (const headers of [{ origin: app.url }, { origin: NAMED }, {}] as Headers[]) {
      expect(await who(headers)).toBe('ann');
      expect(await change(headers)).toBe('ann');
      expect(await chat(headers)).toBe('open');
    }
  });
});

describe('CORS', () => {
  const preflight = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' };
  const allowed = async (origin: string): Promise<unknown[]> => {
    const asked = await app.anonymous.fetch('/graphql', { method: 'OPTIONS', headers: { origin, ...preflight } });
    const answered = await app.anonymous.fetch('/graphql?query={__typename}', { headers: { origin } });
    await answered.text();
    return [asked, answered].map(({ headers }) => [
      headers.get('access-control-allow-origin'),
      headers.get('access-control-allow-credentials'),
    ]);
  };

  it('should allow cookies to named origins alone, and other origins without', async () => {
    expect(await allowed(NAMED)).toEqual([
      [NAMED, 'true'],
      [NAMED, 'true'],
    ]);
    for (const origin of ['https://evil.example', app.url, 'null']) {
      expect(await allowed(origin)).toEqual([
        ['*', null],
        ['*', null],
      ]);
    }
  });
});
