import { setTimeout as sleep } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { Person } from '../kit/person.ts';
import { type ServerProcess, startProcess } from '../kit/process.ts';
import { SocketClient } from '../kit/socket.ts';
import { EventStream, endOfLog } from './streams.ts';

const PASSWORD = 'a good long password';
const SECRET_KEY = '8b9d1bf41e415ecb5f3dbec3102553f92bdbf41227';
const TODOS = 'subscription ($after: String) { todoChanged(after: $after) { todo { title } } }';
const MAKE = 'mutation ($title: String!) { createTodo(input: { title: $title }) { __typename } }';
const RENEW = `mutation ($token: String!) {
  renewConnection(token: $token) { __typename ... on ConnectionRenewal { expiresAt user { username } } ... on Error { message } }
}`;
/** The specification says a second; the machine may be busy. */
const AT_ONCE_MS = 4000;

interface Login {
  readonly person: Person;
  readonly token: string;
  readonly refreshToken: string;
}

let app: TestApp;
let database: Sqlite.Database;
let other: ServerProcess;
let count = 0;

beforeAll(async () => {
  app = await startApp({ SECRET_KEY });
  database = new Sqlite(app.databasePath);
  database.pragma('foreign_keys = ON');
  other = await startProcess({ DATABASE_URL: `file:${app.databasePath}`, SECRET_KEY });
});
afterAll(async () => {
  await other.stop();
  database.close();
  await app.close();
});

async function signIn(visitor: Person, username: string): Promise<Login> {
  const { obtainToken } = await visitor.gql(`mutation {
    obtainToken(input: { username: "${username}", password: "${PASSWORD}" }) { ... on TokenPair { token refreshToken } }
  }`);
  const { token, refreshToken } = obtainToken;
  return { person: new Person(visitor.url, `Bearer ${token}`, username), token, refreshToken };
}

/** Somebody new, so that what happens to them is nobody else's affair. */
async function newcomer(at = app): Promise<Login> {
  count += 1;
  await at.signUp(`user${count}`);
  return signIn(at.anonymous, `user${count}`);
}

async function keyOf({ username }: Person): Promise<string> {
  const { createAuthToken } = await app.anonymous.gql(`mutation {
    createAuthToken(input: { username: "${username}", password: "${PASSWORD}" }) { ... on AuthTokenKey { authToken } }
  }`);
  return createAuthToken.authToken;
}

/** A socket and an event stream that were opened with one credential, and get events. */
async function open(at: TestApp, person: Person) {
  const after = await endOfLog(at);
  const socket = await SocketClient.open(at.url, person.authorization);
  const todos = socket.start(TODOS, { after });
  const { authorization } = person;
  const stream = await EventStream.open(at.url, { query: TODOS, variables: { after }, authorization });
  await person.gql(MAKE, { title: 'received' });
  expect(await todos.event()).toEqual({ todo: { title: 'received' } });
  expect(await stream.event()).toEqual({ todo: { title: 'received' } });
  return { socket, todos, stream, close: () => Promise.all([socket.close(), stream.close()]) };
}

type Open = Awaited<ReturnType<typeof open>>;

const insertTodo = (title: string): unknown => database.prepare('INSERT INTO "Todo" ("title") VALUES (?)').run(title);

async function expectSilence({ socket, todos, stream }: Open, reason: string): Promise<void> {
  const late = sleep(AT_ONCE_MS, 'late' as const, { ref: false });
  expect(await Promise.race([socket.closed, late])).toEqual({ code: 4403, reason });
  expect(await stream.result(AT_ONCE_MS)).toEqual({
    errors: [{ message: reason, extensions: { code: 'UNAUTHENTICATED' } }],
  });
  expect(await stream.frames.next()).toMatchObject({ event: 'complete' });
  await stream.ended;
  insertTodo('not received');
  await app.anonymous.gql('{ cursor }');
  expect([todos.results.drain(), stream.frames.drain()]).toEqual([[], []]);
}

async function expectHeard({ todos, stream }: Open): Promise<void> {
  insertTodo('still received');
  for (const source of [todos, stream]) {
    while ((await source.event()).todo.title !== 'still received') {}
  }
}

const ENDED = 'The credential was ended.';
const CHANGED = 'The password was changed.';
const DISABLED = 'The account is deactivated.';

const sql = (text: string) => async (login: Login) => {
  database.exec(text.replaceAll('$id', `(SELECT "id" FROM "User" WHERE "username" = '${login.person.username}')`));
};

describe('what was opened with an access token', () => {
  it.each<[how: string, reason: string, end: (login: Login) => Promise<unknown>]>([
    ['they sign out', ENDED, ({ person }) => person.gql('mutation { destroyAuthToken }')],
    [
      'they set another password',
      CHANGED,
      ({ person }) =>
        person.gql(`mutation {
          changePassword(input: { currentPassword: "${PASSWORD}", newPassword: "another long one" }) { __typename }
        }`),
    ],
    [
      'they close the account',
      DISABLED,
      ({ person }) => person.gql(`mutation { deactivateViewer(currentPassword: "${PASSWORD}") { __typename } }`),
    ],
    [
      'their refresh token is used again later',
      ENDED,
      async ({ person, refreshToken }) => {
        const refresh = `mutation { refreshToken(refreshToken: "${refreshToken}") { __typename } }`;
        await person.gql(refresh);
        database.exec(
          `UPDATE "RefreshToken" SET "usedAt" = '2020-01-01T00:00:00.000+00:00' WHERE "usedAt" IS NOT NULL`,
        );
        await person.gql(refresh);
      },
    ],
    ['a shell closes the account', DISABLED, sql('UPDATE "User" SET "isActive" = 0 WHERE "id" = $id')],
    ['a shell deletes the sign-in', ENDED, sql('DELETE FROM "Session" WHERE "userId" = $id')],
    [
      'a shell says that the password was set',
      CHANGED,
      sql(`UPDATE "User" SET "credentialsChangedAt" = '2099-01-01T00:00:00.000+00:00' WHERE "id" = $id`),
    ],
  ])('should fall silent at once when %s, here or in another process', async (_how, reason, end) => {
    for (const url of [app.url, other.url]) {
      const login = await newcomer();
      const [opened, unconcerned] = [await open(app, login.person), await open(app, (await newcomer()).person)];
      await end({ ...login, person: new Person(url, login.person.authorization, login.person.username) });
      await expectSilence(opened, reason);
      await expectHeard(unconcerned);
      await unconcerned.close();
    }
  });

  it('should fall silent at once when the account is deleted', async () => {
    const login = await newcomer();
    const opened = await open(app, login.person);
    await sql('DELETE FROM "User" WHERE "id" = $id')(login);
    const late = sleep(AT_ONCE_MS, 'late' as const, { ref: false });
    expect(await Promise.race([opened.socket.closed, late])).toMatchObject({ code: 4403 });
    await opened.stream.ended;
    expect(opened.stream.frames.drain().slice(-2)).toMatchObject([
      { event: 'next', data: expect.stringContaining('UNAUTHENTICATED') },
      { event: 'complete' },
    ]);
  });

  it('should live on when another sign-in of the same user ends', async () => {
    const { person } = await newcomer();
    const opened = await open(app, person);
    const again = await signIn(app.anonymous, person.username);
    await again.person.gql('mutation { destroyAuthToken }');
    await person.gql('mutation { updateViewer(input: { firstName: "New", email: "new@example.org" }) { __typename } }');
    await expectHeard(opened);
    await opened.close();
  });

  it('should fall silent when the token expires, and not before', async () => {
    const brief = await startApp({ ACCESS_TOKEN_LIFE_S: '2' });
    try {
      const { person } = await newcomer(brief);
      const opened = await open(brief, person);
      const started = Date.now();
      await expectSilence(opened, 'The access token has expired. Refresh it, or sign in again.');
      // Tokens end with a whole second.
      expect(Date.now() - started).toBeGreaterThan(500);
      await expect(SocketClient.open(brief.url, person.authorization)).rejects.toThrow('4403');
    } finally {
      await brief.close();
    }
  });
});

describe('what was opened with a key', () => {
  it.each<[how: string, reason: string, end: (person: Person) => Promise<unknown>]>([
    ['the key is destroyed', ENDED, (person) => person.gql('mutation { destroyAuthToken }')],
    [
      'the password is changed',
      CHANGED,
      (person) =>
        person.gql(`mutation {
          changePassword(input: { currentPassword: "${PASSWORD}", newPassword: "another long one" }) { __typename }
        }`),
    ],
  ])('should fall silent at once when %s', async (_how, reason, end) => {
    for (const url of [app.url, other.url]) {
      const { person } = await newcomer();
      const authorization = `Token ${await keyOf(person)}`;
      const opened = await open(app, person.with(authorization));
      await end(new Person(url, authorization, person.username));
      await expectSilence(opened, reason);
    }
  });

  it('should live on when a sign-in of the same user, or another key, ends', async () => {
    const { person } = await newcomer();
    const opened = await open(app, person.with(`Token ${await keyOf(person)}`));
    await person.with(`Token ${await keyOf(person)}`).gql('mutation { destroyAuthToken }');
    await person.gql('mutation { destroyAuthToken }');
    await expectHeard(opened);
    await opened.close();
  });
});

describe('renewing a connection', () => {
  it('should keep its subscriptions alive beyond the end of the first token', async () => {
    const brief = await startApp({ ACCESS_TOKEN_LIFE_S: '3' });
    try {
      const first = await newcomer(brief);
      const { username } = first.person;
      const { socket, todos, stream } = await open(brief, first.person);
      const deadline = Date.now() + 5000;
      while (Date.now() < deadline) {
        await sleep(900);
        const { token, person } = await signIn(brief.anonymous, username);
        const { data } = await socket.execute(RENEW, { token });
        expect(data.renewConnection).toEqual({
          __typename: 'ConnectionRenewal',
          expiresAt: expect.any(String),
          user: { username },
        });
        expect(Date.parse(data.renewConnection.expiresAt)).toBeGreaterThan(Date.now());
        await person.gql(MAKE, { title: 'later' });
        expect(await todos.event()).toEqual({ todo: { title: 'later' } });
      }
      await stream.ended;
      expect(await socket.execute('{ viewer { username } }')).toEqual({ data: { viewer: { username } } });
      // Without another renewal it ends.
      expect(await socket.closed).toEqual({
        code: 4403,
        reason: 'The access token has expired. Refresh it, or sign in again.',
      });
    } finally {
      await brief.close();
    }
  });

  it('should go on with the new credential alone', async () => {
    const { person } = await newcomer();
    const key = await keyOf(person);
    const { socket, todos, stream } = await open(app, person);
    const { data } = await socket.execute(RENEW, { token: key });
    const user = { username: person.username };
    expect(data.renewConnection).toEqual({ __typename: 'ConnectionRenewal', expiresAt: null, user });
    await person.gql('mutation { destroyAuthToken }');
    await stream.ended;
    insertTodo('still received');
    expect(await todos.event()).toEqual({ todo: { title: 'still received' } });
    expect(await socket.execute('{ viewer { username } }')).toEqual({ data: { viewer: user } });
    await person.with(`Token ${key}`).gql('mutation { destroyAuthToken }');
    expect(await socket.closed).toEqual({ code: 4403, reason: ENDED });
  });

  it('should refuse garbage, a dead token and another user’s, and leave the connection as it is', async () => {
    const [{ person }, stranger] = [await newcomer(), await newcomer()];
    const dead = await signIn(app.anonymous, person.username);
    await dead.person.gql('mutation { destroyAuthToken }');
    const opened = await open(app, person);
    const refused = { __typename: 'CredentialsError', message: expect.stringMatching(/^[A-Z].+\.$/) };
    const strangers = [stranger.token, await keyOf(stranger.person)];
    for (const token of ['', 'junk', 'a.b.c', 'two words', dead.token, '0'.repeat(40), ...strangers]) {
      expect((await opened.socket.execute(RENEW, { token })).data.renewConnection, token).toEqual(refused);
    }
    await expectHeard(opened);
    await stranger.person.gql('mutation { destroyAuthToken }');
    await expectHeard(opened);
    await opened.close();
  });

  it('should be no way into an anonymous connection', async () => {
    const { token } = await newcomer();
    const socket = await SocketClient.open(app.url, null);
    const { errors } = await socket.execute(RENEW, { token });
    expect(errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
    await socket.close();
  });

  it('should be BAD_INPUT where there is no connection that stays open', async () => {
    const { person, token } = await newcomer();
    expect(await person.codeOf(RENEW, { token })).toBe('BAD_INPUT');
    const { authorization } = person;
    const stream = await EventStream.open(app.url, { query: RENEW, variables: { token }, authorization });
    expect(await stream.result()).toMatchObject({ errors: [{ extensions: { code: 'BAD_INPUT' } }] });
    await stream.ended;
  });
});
