import { randomBytes } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { numberOf } from './kit/ids.ts';
import { Person } from './kit/person.ts';
import { type ServerProcess, startProcess } from './kit/process.ts';
import { SocketClient } from './kit/socket.ts';

const SECRET_KEY = randomBytes(32).toString('hex');
const PASSWORD = 'a good long password';
const MIGRATION = '20261125000000_session_details';
const PAIR = 'token refreshToken refreshExpiresAt expiresAt';
const OBTAIN = `mutation ($username: String!) {
  obtainToken(input: { username: $username, password: "${PASSWORD}" }) { ... on TokenPair { ${PAIR} } }
}`;
const REFRESH = `mutation ($refreshToken: String!) {
  refreshToken(refreshToken: $refreshToken) { __typename ... on TokenPair { ${PAIR} } }
}`;
const SESSIONS = `{ viewer { sessions { totalCount nodes {
  id createdAt lastUsedAt userAgent address expiresAt isCurrent
} } } }`;
const END = 'mutation ($id: ID!) { endSession(id: $id) { __typename ... on Session { id isCurrent } } }';
const END_OTHERS = 'mutation { endOtherSessions }';
const MAKE_KEY = `mutation ($username: String!, $name: String, $key: String) {
  createAuthToken(input: { username: $username, password: "${PASSWORD}" }, name: $name, idempotencyKey: $key) {
    __typename ... on AuthTokenKey { authToken } ... on ValidationError { fields { path message } }
  }
}`;
const KEYS = '{ viewer { authTokens { nodes { id name createdAt isCurrent } } } }';
const END_KEY = 'mutation ($id: ID!) { endAuthToken(id: $id) { __typename ... on AuthToken { id name } } }';
const NOT_FOUND = { __typename: 'NotFoundError' };

interface SignedIn {
  readonly person: Person;
  readonly token: string;
  readonly refreshToken: string;
}
interface SessionRow {
  readonly id: string;
  readonly createdAt: string;
  readonly lastUsedAt: string;
  readonly userAgent: string | null;
  readonly address: string | null;
  readonly expiresAt: string;
  readonly isCurrent: boolean;
}

let app: TestApp;
let count = 0;
beforeAll(async () => {
  app = await startApp({ SECRET_KEY, TRUST_PROXY: '1', MAX_FAILED_SIGN_INS: '1000' });
});
afterAll(() => app.close());

/** A name whose account exists and has no session. */
async function newName(at = app): Promise<string> {
  count += 1;
  const username = `user${count}`;
  await at.anonymous.gql(
    'mutation ($username: String!, $password: String!) { signUp(input: { username: $username, password: $password }) { __typename } }',
    { username, password: PASSWORD },
  );
  return username;
}

async function signIn(username: string, at: Pick<TestApp, 'anonymous'> = app): Promise<SignedIn> {
  const { obtainToken } = await at.anonymous.gql(OBTAIN, { username });
  return { ...obtainToken, person: at.anonymous.with(`Bearer ${obtainToken.token}`) };
}

async function makeKey(username: string, name: string | null = null): Promise<Person> {
  const { createAuthToken } = await app.anonymous.gql(MAKE_KEY, { username, name });
  return app.anonymous.with(`Token ${createAuthToken.authToken}`);
}

const sessionsOf = async (person: Person): Promise<SessionRow[]> => (await person.gql(SESSIONS)).viewer.sessions.nodes;

async function currentOf(person: Person): Promise<SessionRow> {
  const [current] = (await sessionsOf(person)).filter(({ isCurrent }) => isCurrent);
  return current ?? expect.fail('No session is the current one.');
}

async function isAccepted(person: Person): Promise<boolean> {
  const { data, errors } = await person.ask('{ viewer { id } }');
  expect(data?.viewer ? undefined : errors?.[0]?.extensions?.['code']).toBe(
    data?.viewer ? undefined : 'UNAUTHENTICATED',
  );
  return Boolean(data?.viewer);
}

const refresh = async (refreshToken: string, at = app.anonymous): Promise<string> =>
  (await at.gql(REFRESH, { refreshToken })).refreshToken.__typename;

async function expectOver({ person, refreshToken }: SignedIn): Promise<void> {
  expect(await isAccepted(person)).toBe(false);
  expect(await refresh(refreshToken)).toBe('CredentialsError');
}

describe('viewer.sessions', () => {
  it('should list every sign-in, the newest first', async () => {
    const username = await newName();
    const signInFrom = async (address: string, agent: string): Promise<Person> => {
      const caller = new Person(app.url, null, '', { 'x-forwarded-for': address, 'user-agent': agent });
      const { obtainToken } = await caller.gql(OBTAIN, { username });
      return caller.with(`Bearer ${obtainToken.token}`);
    };
    await signInFrom('203.0.113.77', 'Firefox');
    await signInFrom('2001:db8:1:2:3:4:5:6', 'x'.repeat(5000));
    await signInFrom('no address', '');
    const person = await signInFrom('::ffff:198.51.100.200', 'Safari');
    const { totalCount, nodes } = (await person.gql(SESSIONS)).viewer.sessions;
    expect(totalCount).toBe(4);
    expect(nodes).toMatchObject([
      { userAgent: 'Safari', address: '198.51.100.0/24', isCurrent: true },
      { userAgent: null, address: null, isCurrent: false },
      { userAgent: 'x'.repeat(256), address: '2001:db8:1::/48', isCurrent: false },
      { userAgent: 'Firefox', address: '203.0.113.0/24', isCurrent: false },
    ]);
    for (const { createdAt, lastUsedAt, expiresAt } of nodes as SessionRow[]) {
      expect(lastUsedAt).toBe(createdAt);
      expect(Date.parse(expiresAt)).toBeGreaterThan(Date.parse(createdAt));
    }
  });

  it('should have the sign-ins of every transport', async () => {
    const username = await newName();
    const socket = await SocketClient.open(app.url, null, { 'user-agent': 'socket', 'x-forwarded-for': '192.0.2.9' });
    const { data } = await socket.execute(OBTAIN, { username });
    await socket.close();
    const body = new URLSearchParams({ username, password: PASSWORD });
    const headers = { 'user-agent': 'form', 'x-forwarded-for': '192.0.2.9' };
    await app.anonymous.fetch('/auth/obtain_token/', { method: 'POST', body, headers });
    const stream = await app.anonymous.fetch('/graphql', {
      method: 'POST',
      headers: { ...headers, 'user-agent': 'stream', accept: 'text/event-stream', 'content-type': 'application/json' },
      body: JSON.stringify({ query: OBTAIN, variables: { username } }),
    });
    expect(await stream.text()).toContain('"token"');
    const sessions = await sessionsOf(app.anonymous.with(`Bearer ${data.obtainToken.token}`));
    expect(sessions.map(({ userAgent, isCurrent }) => [userAgent, isCurrent])).toEqual([
      ['stream', false],
      ['form', false],
      ['socket', true],
    ]);
    expect(new Set(sessions.map(({ address }) => address))).toEqual(new Set(['192.0.2.0/24']));
  });

  it('should be shown to nobody else, not even staff', async () => {
    const { person } = await signIn(await newName());
    const { createTodo } = await person.gql('mutation { createTodo(input: { title: "x" }) { ... on Todo { id } } }');
    const username = (await person.gql('{ viewer { username } }')).viewer.username;
    count += 1;
    const staff = await app.signUpStaff(`staff${count}`);
    const { person: other } = await signIn(await newName());
    const fields = '{ sessions { nodes { id } } authTokens { nodes { id } } }';
    for (const caller of [staff, other]) {
      const { user } = await caller.gql(`{ user(username: "${username}") ${fields} }`);
      expect(user).toEqual({ sessions: null, authTokens: null });
    }
    const { todo } = await staff.gql(`{ todo(id: "${createTodo.id}") { owner ${fields} } }`);
    expect(todo.owner).toEqual({ sessions: null, authTokens: null });
  });

  it('should say when a session was last refreshed, and write nothing for other requests', async () => {
    const { person, token, refreshToken } = await signIn(await newName());
    const { id, lastUsedAt } = await currentOf(person);
    await app.sql('UPDATE "Session" SET "lastUsedAt" = "createdAt" WHERE "id" = ?', numberOf(id));
    expect(await currentOf(person)).toMatchObject({ id, lastUsedAt });
    await refresh(refreshToken);
    const refreshed = (await currentOf(person)).lastUsedAt;
    expect(Date.parse(refreshed)).toBeGreaterThan(Date.parse(lastUsedAt));
    const longAgo = '2020-01-01T00:00:00.000+00:00';
    await app.sql('UPDATE "Session" SET "lastUsedAt" = ? WHERE "id" = ?', longAgo, numberOf(id));
    const body = new URLSearchParams({ token });
    await app.anonymous.fetch('/auth/refresh_token/', { method: 'POST', body });
    const reissued = (await currentOf(person)).lastUsedAt;
    expect(Date.parse(reissued)).toBeGreaterThanOrEqual(Date.parse(refreshed));
    await app.anonymous.fetch('/auth/refresh_token/', { method: 'POST', body });
    expect((await currentOf(person)).lastUsedAt).toBe(reissued);
  });

  it('should take as many statements for many sessions as for one', async () => {
    const username = await newName();
    const { person } = await signIn(username);
    await sessionsOf(person);
    const one = await app.countStatements(() => person.ask(SESSIONS));
    for (let index = 0; index < 5; index += 1) {
      await signIn(username);
    }
    await sessionsOf(person);
    expect(await app.countStatements(() => person.ask(SESSIONS))).toBe(one);
  });
});

describe('endSession', () => {
  let other: ServerProcess;
  beforeAll(async () => {
    other = await startProcess({ ...app.databaseEnv, SECRET_KEY });
  });
  afterAll(() => other.stop());

  it('should end one session at once, with its tokens and sockets, and no other', async () => {
    const username = await newName();
    const [mine, lost] = [await signIn(username), await signIn(username)];
    const { id } = await currentOf(lost.person);
    const sockets = await Promise.all(
      [app.url, other.url].map((url) => SocketClient.open(url, `Bearer ${lost.token}`)),
    );
    expect((await mine.person.gql(END, { id })).endSession).toEqual({ __typename: 'Session', id, isCurrent: false });
    await expectOver(lost);
    for (const socket of sockets) {
      expect(await socket.closed).toMatchObject({ code: 4403 });
    }
    expect((await sessionsOf(mine.person)).map(({ isCurrent }) => isCurrent)).toEqual([true]);
    expect((await mine.person.gql(END, { id })).endSession).toEqual(NOT_FOUND);
  });

  it('should end a session that another process knows', async () => {
    const username = await newName();
    const [mine, lost] = [await signIn(username), await signIn(username)];
    const elsewhere = new Person(other.url, `Bearer ${lost.token}`, username);
    expect(await isAccepted(elsewhere)).toBe(true);
    await mine.person.gql(END, { id: (await currentOf(lost.person)).id });
    await expect.poll(() => isAccepted(elsewhere), { timeout: 10_000 }).toBe(false);
  });

  it('should end the current one', async () => {
    const mine = await signIn(await newName());
    const { id } = await currentOf(mine.person);
    expect((await mine.person.gql(END, { id })).endSession).toEqual({ __typename: 'Session', id, isCurrent: true });
    await expectOver(mine);
  });

  it('should not find what is not a session of the viewer', async () => {
    const [mine, theirs] = [await signIn(await newName()), await signIn(await newName())];
    const { id } = await currentOf(theirs.person);
    count += 1;
    const staff = await app.signUpStaff(`staff${count}`);
    for (const person of [mine.person, staff]) {
      for (const wanted of [id, '0', '-1', '99999999999', 'x', '', `${id} `, `0${id}`]) {
        expect((await person.gql(END, { id: wanted })).endSession, wanted).toEqual(NOT_FOUND);
      }
    }
    expect(await app.anonymous.codeOf(END, { id })).toBe('UNAUTHENTICATED');
    expect(await isAccepted(theirs.person)).toBe(true);
  });

  it('should leave nothing when refreshes of the session come at the same moment', async () => {
    const username = await newName();
    const mine = await signIn(username);
    for (let round = 0; round < 5; round += 1) {
      const lost = await signIn(username);
      const { id } = await currentOf(lost.person);
      const [, ...answers] = await Promise.all([
        mine.person.gql(END, { id }),
        ...Array.from({ length: 4 }, () => app.anonymous.gql(REFRESH, { refreshToken: lost.refreshToken })),
      ]);
      for (const { refreshToken: pair } of answers.filter(({ refreshToken }) => refreshToken.token)) {
        await expectOver({ ...pair, person: app.anonymous.with(`Bearer ${pair.token}`) });
      }
      expect((await sessionsOf(mine.person)).map(({ isCurrent }) => isCurrent)).toEqual([true]);
    }
  });
});

describe('endOtherSessions', () => {
  it('should end all but the current one, and leave other users and keys alone', async () => {
    const username = await newName();
    const [first, mine, last] = [await signIn(username), await signIn(username), await signIn(username)];
    const theirs = await signIn(await newName());
    const key = await makeKey(username);
    expect((await mine.person.gql(END_OTHERS)).endOtherSessions).toBe(2);
    await expectOver(first);
    await expectOver(last);
    for (const { person } of [mine, theirs]) {
      expect(await isAccepted(person)).toBe(true);
    }
    expect(await isAccepted(key)).toBe(true);
    expect((await mine.person.gql(END_OTHERS)).endOtherSessions).toBe(0);
    expect(await refresh(mine.refreshToken)).toBe('TokenPair');
  });

  it('should end all when it comes with a key or with a token of no session', async () => {
    const username = await newName();
    const key = await makeKey(username);
    const { user_id } = jwt.decode((await signIn(username)).token, { json: true }) ?? {};
    const now = Math.floor(Date.now() / 1000);
    const minted = jwt.sign({ user_id, username, exp: now + 600, orig_iat: now + 1 }, SECRET_KEY);
    for (const person of [key, app.anonymous.with(`Bearer ${minted}`)]) {
      const { person: signedIn } = await signIn(username);
      expect((await person.gql(END_OTHERS)).endOtherSessions).toBeGreaterThan(0);
      expect(await isAccepted(signedIn)).toBe(false);
      expect(await isAccepted(person)).toBe(true);
    }
  });

  it('should leave one session when several end the others at the same moment', async () => {
    const username = await newName();
    for (let round = 0; round < 5; round += 1) {
      const all = [];
      for (let index = 0; index < 4; index += 1) {
        all.push(await signIn(username));
      }
      const answers = await Promise.all(all.map(({ person }) => person.ask(END_OTHERS)));
      for (const { errors } of answers.filter(({ data }) => !data)) {
        expect(errors?.[0]?.extensions?.['code']).toBe('UNAUTHENTICATED');
      }
      const accepted = await Promise.all(all.map(({ person }) => isAccepted(person)));
      expect(accepted.filter(Boolean)).toHaveLength(1);
    }
  });
});

describe('the keys of a user', () => {
  it('should be listed by name, without anything to sign in with', async () => {
    const username = await newName();
    const nameless = await makeKey(username);
    const named = await makeKey(username, '  my laptop ');
    const keysOf = async (person: Person) => (await person.gql(KEYS)).viewer.authTokens.nodes;
    const listed = await keysOf(named);
    expect(listed).toMatchObject([
      { name: 'my laptop', isCurrent: true },
      { name: null, isCurrent: false },
    ]);
    expect(Date.parse(listed[0].createdAt)).toBeLessThanOrEqual(Date.now());
    expect((await keysOf(nameless)).map(({ isCurrent }: { isCurrent: boolean }) => isCurrent)).toEqual([false, true]);
    expect(await sessionsOf(named)).toEqual([]);
  });

  it('should refuse a name that is empty or too long, and make one key for one idempotency key', async () => {
    const username = await newName();
    for (const name of ['', ' ', 'x'.repeat(101), 'a\0b']) {
      const { createAuthToken } = await app.anonymous.gql(MAKE_KEY, { username, name });
      expect(createAuthToken).toMatchObject({ __typename: 'ValidationError', fields: [{ path: 'name' }] });
    }
    const ask = () => app.anonymous.gql(MAKE_KEY, { username, name: 'x'.repeat(100), key: `key of ${username}` });
    const [first, again] = await Promise.all([ask(), ask()]);
    expect(again).toEqual(first);
    const person = app.anonymous.with(`Token ${first.createAuthToken.authToken}`);
    expect((await person.gql(KEYS)).viewer.authTokens.nodes).toHaveLength(1);
  });

  it('should end one by one, with its sockets, also by itself', async () => {
    const username = await newName();
    const { person } = await signIn(username);
    const [lost, kept] = [await makeKey(username, 'lost'), await makeKey(username, 'kept')];
    const socket = await SocketClient.open(app.url, lost.authorization);
    const [keptKey, lostKey] = (await person.gql(KEYS)).viewer.authTokens.nodes;
    expect((await person.gql(END_KEY, { id: lostKey.id })).endAuthToken).toMatchObject({ name: 'lost' });
    expect(await isAccepted(lost)).toBe(false);
    expect(await socket.closed).toMatchObject({ code: 4403 });
    expect((await person.gql(END_KEY, { id: lostKey.id })).endAuthToken).toEqual(NOT_FOUND);
    expect((await kept.gql(END_KEY, { id: keptKey.id })).endAuthToken).toMatchObject({ name: 'kept' });
    expect(await isAccepted(kept)).toBe(false);
    expect(await isAccepted(person)).toBe(true);
  });

  it('should not be found by another user, nor a session by the id of a key', async () => {
    const [owner, stranger] = [await newName(), await signIn(await newName())];
    const key = await makeKey(owner);
    const [{ id }] = (await key.gql(KEYS)).viewer.authTokens.nodes;
    expect((await stranger.person.gql(END_KEY, { id })).endAuthToken).toEqual(NOT_FOUND);
    expect((await key.gql(END, { id })).endSession).toEqual(NOT_FOUND);
    expect(await isAccepted(key)).toBe(true);
  });
});

describe('SESSION_LIFE_S', () => {
  it('should end a session however often it is refreshed, with its sockets', async () => {
    const brief = await startApp({ SECRET_KEY, SESSION_LIFE_S: '8' });
    try {
      const username = await newName(brief);
      const first = await signIn(username, brief);
      const { createdAt, expiresAt } = await currentOf(first.person);
      const end = Date.parse(createdAt) + 8000;
      expect(Date.parse(expiresAt)).toBe(end);
      const second = (await brief.anonymous.gql(REFRESH, { refreshToken: first.refreshToken })).refreshToken;
      expect(Date.parse(second.expiresAt)).toBeLessThanOrEqual(end);
      expect(Date.parse(second.refreshExpiresAt)).toBeLessThan(end + 1000);
      const body = new URLSearchParams({ token: first.token });
      const reissued = await brief.anonymous.fetch('/auth/refresh_token/', { method: 'POST', body });
      const { exp = 0 } = jwt.decode(((await reissued.json()) as { token: string }).token, { json: true }) ?? {};
      expect(exp * 1000).toBeLessThanOrEqual(end);
      const socket = await SocketClient.open(brief.url, `Bearer ${second.token}`);
      expect(await socket.closed).toMatchObject({
        code: 4403,
        reason: 'The access token has expired. Refresh it, or sign in again.',
      });
      await expect.poll(() => Date.now(), { timeout: 15_000 }).toBeGreaterThan(end);
      expect(await refresh(second.refreshToken, brief.anonymous)).toBe('CredentialsError');
      expect(await isAccepted(first.person)).toBe(false);
    } finally {
      await brief.close();
    }
  });

  it('should hold for tokens that were issued when sessions might last longer', async () => {
    const username = await newName();
    const { token, refreshToken } = await signIn(username);
    const { sid } = jwt.decode(token, { json: true }) ?? {};
    const tooLongAgo = new Date(Date.now() - 91 * 86_400_000).toISOString().replace('Z', '+00:00');
    await app.sql('UPDATE "Session" SET "createdAt" = ? WHERE "sid" = ?', tooLongAgo, sid);
    expect(await isAccepted(app.anonymous.with(`Bearer ${token}`))).toBe(false);
    expect(await refresh(refreshToken)).toBe('CredentialsError');
    const next = await signIn(username);
    expect(await sessionsOf(next.person)).toHaveLength(1);
  });
});

describe('a database of a version without the details of sessions', () => {
  it('should keep its sessions and keys', async () => {
    const old = await startApp({ SECRET_KEY });
    try {
      const username = await newName(old);
      const { token } = await signIn(username, old);
      await old.anonymous.gql(MAKE_KEY, { username });
      for (const column of ['lastUsedAt', 'userAgent', 'address']) {
        await old.sql(`ALTER TABLE "Session" DROP COLUMN "${column}"`);
      }
      await old.sql('ALTER TABLE "AuthToken" DROP COLUMN "name"');
      await old.sql('DELETE FROM "_prisma_migrations" WHERE "migration_name" = ?', MIGRATION);
      const next = await startProcess({ ...old.databaseEnv, SECRET_KEY });
      const person = new Person(next.url, `Bearer ${token}`, username);
      const session = await currentOf(person);
      expect(session).toMatchObject({ userAgent: null, address: null, lastUsedAt: session.createdAt });
      expect((await person.gql(KEYS)).viewer.authTokens.nodes).toMatchObject([{ name: null }]);
      await next.stop();
    } finally {
      await old.close();
    }
  });
});
