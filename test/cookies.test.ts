import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { numberOf } from './kit/ids.ts';
import { cookiesOf, Person, pageHeaders, SIGN_IN, signInCookie, signInPage } from './kit/person.ts';
import { RawSocket, SocketClient } from './kit/socket.ts';

const PASSWORD = 'a good long password';
const ME = '{ viewer { username } }';
const SESSIONS = '{ viewer { sessions { nodes { id isCurrent expiresAt lastUsedAt createdAt userAgent } } } }';
const OBTAIN = `mutation ($input: LoginInput!) { obtainToken(input: $input) { ... on TokenPair { token } } }`;
const CHANGE_PASSWORD = `mutation ($next: String!) {
  changePassword(input: { currentPassword: "${PASSWORD}", newPassword: $next }) { __typename }
}`;
const DAY_S = 86_400;

let app: TestApp;
let count = 0;
beforeAll(async () => {
  app = await startApp({ MAX_FAILED_SIGN_INS: '1000' });
});
afterAll(() => app.close());

/** A user with an account, and no session by cookie yet. */
async function newPerson(at = app): Promise<Person> {
  count += 1;
  return at.signUp(`user${count}`);
}

async function newPage(at = app): Promise<Person> {
  return signInPage(at.url, (await newPerson(at)).username);
}

const sessionsOf = async (person: Person) => (await person.gql(SESSIONS)).viewer.sessions.nodes;
const currentOf = async (person: Person) =>
  (await sessionsOf(person)).find(({ isCurrent }: { isCurrent: boolean }) => isCurrent);
const isCleared = (answer: { headers: Headers }) => cookiesOf(answer).map(({ value, maxAge }) => [value, maxAge]);
const CLEARED = [['', 0]];
const input = (username: string, password = PASSWORD) => ({ input: { username, password } });

describe('signIn', () => {
  it('should set a cookie that no script can read, for this host and as long as a session may last', async () => {
    const { username } = await newPerson();
    const answer = await new Person(app.url, null, '', pageHeaders(app.url)).ask(SIGN_IN, input(username));
    expect(answer.data).toEqual({ signIn: { __typename: 'User', username } });
    expect(cookiesOf(answer)).toEqual([
      {
        name: 'tidings-session',
        value: expect.stringMatching(/^[\w-]{43}$/),
        path: '/',
        httpOnly: true,
        sameSite: 'lax',
        maxAge: 90 * DAY_S,
      },
    ]);
  });

  it.each([
    ['PUBLIC_URL', { PUBLIC_URL: 'https://tidings.example.org' }, { origin: 'https://tidings.example.org' }],
    [
      'its proxy',
      { TRUST_PROXY: '1' },
      { origin: 'https://a.example', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'a.example' },
    ],
  ])('should set a Secure cookie of this host alone where %s says https', async (_name, env, headers) => {
    const secure = await startApp(env);
    try {
      await secure.signUp('ann');
      const answer = await new Person(secure.url, null, '', headers).ask(SIGN_IN, input('ann'));
      const [cookie] = cookiesOf(answer);
      expect(cookie).toMatchObject({ name: '__Host-tidings-session', secure: true, path: '/', httpOnly: true });
      expect(cookie).not.toHaveProperty('domain');
      const page = (name: string) =>
        new Person(secure.url, null, '', { ...headers, cookie: `${name}=${cookie?.value}` });
      expect((await page('__Host-tidings-session').gql(ME)).viewer).toEqual({ username: 'ann' });
      const handshake = { ...page('__Host-tidings-session').headers, 'x-forwarded-proto': 'wss' };
      const socket = await SocketClient.open(secure.url, null, handshake);
      expect((await socket.execute(ME)).data.viewer).toEqual({ username: 'ann' });
      await socket.close();
      // Without the prefix another host of the domain could have set it.
      expect((await page('tidings-session').gql(ME)).viewer).toBeNull();
    } finally {
      await secure.close();
    }
  });

  it('should not believe a caller that no proxy stands in front of', async () => {
    const { username } = await newPerson();
    const headers = {
      origin: 'https://evil.example',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'evil.example',
    };
    const person = new Person(app.url, null, '', headers);
    expect(await person.codeOf(SIGN_IN, input(username))).toBe('FORBIDDEN');
  });

  it('should refuse a wrong password and an unknown name in the same words, without a cookie', async () => {
    const { username } = await newPerson();
    const page = new Person(app.url, null, '', pageHeaders(app.url));
    for (const login of [input(username, 'wrong'), input('nobody at all')]) {
      const answer = await page.ask(SIGN_IN, login);
      expect(answer.data?.signIn).toEqual({
        __typename: 'CredentialsError',
        message: 'Unable to log in with provided credentials.',
      });
      expect(cookiesOf(answer)).toEqual([]);
    }
  });

  it('should count failures together with those of obtainToken', async () => {
    const limited = await startApp({ MAX_FAILED_SIGN_INS: '2' });
    try {
      await limited.signUp('ann');
      const page = new Person(limited.url, null, '', pageHeaders(limited.url));
      await page.gql(SIGN_IN, input('ann', 'wrong'));
      await page.gql(OBTAIN, input('ann', 'wrong'));
      expect(await page.codeOf(SIGN_IN, input('ann'))).toBe('RATE_LIMITED');
    } finally {
      await limited.close();
    }
  });

  it('should give another cookie each time, and end the session whose cookie it replaces', async () => {
    const page = await newPage();
    const { username } = page;
    const again = await signInCookie(app.url, username, { headers: { cookie: page.headers['cookie'] ?? '' } });
    expect(again).not.toBe(page.headers['cookie']);
    expect(await page.codeOf(ME)).toBe('UNAUTHENTICATED');
    const next = new Person(app.url, null, username, pageHeaders(app.url, again));
    expect((await sessionsOf(next)).filter(({ isCurrent }: { isCurrent: boolean }) => isCurrent)).toHaveLength(1);
    // That of `newPerson` is one of tokens.
    expect(await sessionsOf(next)).toHaveLength(2);
  });

  it('should end the session whose cookie it replaces, whoever else the request is', async () => {
    const person = await newPerson();
    const cookie = await signInCookie(app.url, person.username);
    await signInCookie(app.url, person.username, {
      headers: { cookie, ...(person.authorization && { authorization: person.authorization }) },
    });
    const before = new Person(app.url, null, '', pageHeaders(app.url, cookie));
    expect(await before.codeOf(ME)).toBe('UNAUTHENTICATED');
  });

  it('should leave one session for one cookie, however many sign-ins an operation has', async () => {
    const person = await newPerson();
    const aliases = ['a', 'b', 'c'].map((alias) => `${alias}: signIn(input: $input) { __typename }`).join(' ');
    const page = new Person(app.url, null, '', pageHeaders(app.url));
    await page.ask(`mutation ($input: LoginInput!) { ${aliases} }`, input(person.username));
    // That of the person's token, and the last one.
    expect(await sessionsOf(person)).toHaveLength(2);
  });

  it('should not take over a value that somebody else has put into the browser', async () => {
    const { username } = await newPerson();
    const planted = `tidings-session=${'A'.repeat(43)}`;
    const cookie = await signInCookie(app.url, username, { headers: { cookie: planted } });
    expect(cookie).not.toBe(planted);
    expect(await new Person(app.url, null, '', pageHeaders(app.url, planted)).codeOf(ME)).toBe('UNAUTHENTICATED');
  });

  it('should keep nothing to sign in with', async () => {
    const page = await newPage();
    const value = page.headers['cookie']?.split('=')[1] ?? '';
    const rows = JSON.stringify(await app.sql('SELECT * FROM "Session"'));
    expect(rows).toContain('cookieHash');
    expect(rows).not.toContain(value);
  });

  it('should say over a WebSocket and over an event stream that it needs a POST', async () => {
    const { username } = await newPerson();
    const socket = await SocketClient.open(app.url, null, pageHeaders(app.url));
    for (const [query, variables] of [
      [SIGN_IN, input(username)],
      ['mutation { signOut }', {}],
    ] as const) {
      const { errors } = await socket.execute(query, variables);
      expect(errors[0]).toMatchObject({
        message: expect.stringContaining('only by an HTTP POST'),
        extensions: { code: 'BAD_INPUT' },
      });
      const stream = await app.anonymous.fetch('/graphql', {
        method: 'POST',
        headers: { ...pageHeaders(app.url), accept: 'text/event-stream', 'content-type': 'application/json' },
        body: JSON.stringify({ query, variables }),
      });
      expect(stream.headers.getSetCookie()).toEqual([]);
      expect(await stream.text()).toContain('BAD_INPUT');
    }
    await socket.close();
  });

  it('should be the answer of Yoga, too', async () => {
    const { username } = await newPerson();
    const response = await app.anonymous.fetch('/graphql', {
      method: 'POST',
      headers: {
        ...pageHeaders(app.url),
        accept: 'text/plain, application/json;q=0.5',
        'content-type': 'application/json',
      },
      body: JSON.stringify({ query: SIGN_IN, variables: input(username) }),
    });
    expect(response.status).toBe(200);
    await response.text();
    expect(cookiesOf(response)).toHaveLength(1);
  });
});

describe('a session by cookie', () => {
  it('should be listed, be the current one, and say when it is used', async () => {
    const { username } = await newPerson();
    const page = await signInPage(app.url, username, { 'user-agent': 'Firefox' });
    const session = await currentOf(page);
    expect(session).toMatchObject({ userAgent: 'Firefox', lastUsedAt: session.createdAt });
    expect(Date.parse(session.expiresAt) - Date.parse(session.createdAt)).toBe(7 * DAY_S * 1000);
  });

  it('should last while it is used, and no longer than a session may', async () => {
    const page = await newPage();
    const { id } = await currentOf(page);
    const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString().replace('Z', '+00:00');
    await app.sql('UPDATE "Session" SET "lastUsedAt" = ? WHERE "id" = ?', ago(3600), numberOf(id));
    await app.sql('UPDATE "Session" SET "expiresAt" = ? WHERE "id" = ?', ago(-60), numberOf(id));
    // Another process, which remembers nobody.
    const other = await startApp(app.databaseEnv as Record<string, string>);
    const elsewhere = new Person(other.url, null, '', pageHeaders(other.url, page.headers['cookie']));
    const used = await currentOf(elsewhere);
    expect(Date.parse(used.lastUsedAt)).toBeGreaterThan(Date.now() - 60_000);
    expect(Date.parse(used.expiresAt)).toBeGreaterThan(Date.now() + 6 * DAY_S * 1000);
    expect(await other.countStatements(() => elsewhere.gql(ME))).toBeLessThanOrEqual(1);

    const signedIn = ago(90 * DAY_S - 30);
    await app.sql(
      'UPDATE "Session" SET "createdAt" = ?, "lastUsedAt" = ? WHERE "id" = ?',
      signedIn,
      signedIn,
      numberOf(id),
    );
    await other.close();
    const third = await startApp(app.databaseEnv as Record<string, string>);
    const late = new Person(third.url, null, '', pageHeaders(third.url, page.headers['cookie']));
    expect(Date.parse((await currentOf(late)).expiresAt)).toBeLessThan(Date.now() + 31_000);
    await third.close();
  });

  it('should end when it is not used, and have the browser forget it', async () => {
    const short = await startApp({ REFRESH_TOKEN_LIFE_S: '1' });
    try {
      const page = await newPage(short);
      const end = Date.now() + 1500;
      while (Date.now() < end) {
        expect((await page.gql(ME)).viewer).not.toBeNull();
        // Less than the session lasts unused.
        await pause(200);
      }
      // Longer than the session lasts unused. Not by a clock that is set ahead: an identity is held for a while, whatever the date.
      await pause(1200);
      const answer = await page.ask(ME);
      expect(answer.errors?.[0]).toMatchObject({
        message: 'The session has ended. Sign in again.',
        extensions: { code: 'UNAUTHENTICATED' },
      });
      expect(isCleared(answer)).toEqual(CLEARED);
    } finally {
      await short.close();
    }
  });

  it('should last while a socket is open, and no longer than a session may', async () => {
    const short = await startApp({ REFRESH_TOKEN_LIFE_S: '1', SESSION_LIFE_S: '4' });
    try {
      const page = await newPage(short);
      const opened = Date.now();
      const socket = await SocketClient.open(short.url, null, page.headers);
      const legacy = new RawSocket(`${short.url}/ws/subscribe/`, { headers: page.headers });
      expect([(await socket.closed).code, (await legacy.closed).code]).toEqual([4403, 4403]);
      expect(Date.now() - opened).toBeGreaterThan(2500);
      expect(await page.codeOf(ME)).toBe('UNAUTHENTICATED');
    } finally {
      await short.close();
    }
  });

  it.each([
    ['signOut', 'mutation { signOut }'],
    ['destroyAuthToken', 'mutation { destroyAuthToken }'],
    ['changePassword', CHANGE_PASSWORD],
    ['deactivateViewer', `mutation { deactivateViewer(currentPassword: "${PASSWORD}") { __typename } }`],
  ])('should be ended by %s, with its sockets and streams', async (name, mutation) => {
    const page = await newPage();
    const socket = await SocketClient.open(app.url, null, page.headers);
    const legacy = new RawSocket(`${app.url}/ws/subscribe/`, { headers: page.headers });
    await legacy.opened;
    const stream = await page.fetch('/graphql?query=subscription{postChanged{action}}', {
      headers: { accept: 'text/event-stream' },
    });
    const answer = await page.ask(mutation, { next: 'quite another password' });
    expect(answer.errors).toBeUndefined();
    expect(await socket.closed).toMatchObject({ code: 4403 });
    expect(await legacy.closed).toMatchObject({ code: 4403 });
    expect(await stream.text()).toContain('UNAUTHENTICATED');
    expect(await page.codeOf(ME)).toBe('UNAUTHENTICATED');
    if (name === 'changePassword') {
      const [cookie] = cookiesOf(answer);
      const next = new Person(app.url, null, '', pageHeaders(app.url, `${cookie?.name}=${cookie?.value}`));
      expect((await next.gql(ME)).viewer.username).toBe(page.username);
      expect(await sessionsOf(next)).toHaveLength(1);
    } else {
      expect(isCleared(answer)).toEqual(CLEARED);
    }
  });

  it('should be ended from another session, and by a new password of another program', async () => {
    const person = await newPerson();
    for (const end of ['mutation { endOtherSessions }', CHANGE_PASSWORD]) {
      const page = await signInPage(app.url, person.username);
      const socket = await SocketClient.open(app.url, null, page.headers);
      await person.gql(end, { next: 'quite another password' });
      expect(await socket.closed).toMatchObject({ code: 4403 });
      const answer = await page.ask(ME);
      expect(answer.errors?.[0]?.extensions?.['code']).toBe('UNAUTHENTICATED');
      expect(isCleared(answer)).toEqual(CLEARED);
    }
  });

  it('should be cleared when it is ended by endSession, and not when that is another one', async () => {
    const page = await newPage();
    const [mine, other] = [await currentOf(page), (await sessionsOf(page))[1]];
    const end = (id: string) => page.ask('mutation ($id: ID!) { endSession(id: $id) { __typename } }', { id });
    expect(cookiesOf(await end(other.id))).toEqual([]);
    expect(isCleared(await end(mine.id))).toEqual(CLEARED);
  });
});

describe('signOut', () => {
  it('should end the session of the cookie, whatever else comes with the request', async () => {
    const page = await newPage();
    for (const authorization of ['Bearer garbage', `Token ${'0'.repeat(40)}`]) {
      const answer = await page.with(authorization).ask('mutation { signOut }');
      expect([answer.data, isCleared(answer)]).toEqual([{ signOut: true }, CLEARED]);
      expect(await page.codeOf(ME)).toBe('UNAUTHENTICATED');
    }
  });
});
