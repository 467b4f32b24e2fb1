import { randomBytes } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { globalId, numberOf } from './kit/ids.ts';
import { Person } from './kit/person.ts';
import { type ServerProcess, startProcess } from './kit/process.ts';
import { RawSocket, SocketClient } from './kit/socket.ts';
import { EventStream, endOfLog } from './live/streams.ts';

const SECRET_KEY = randomBytes(32).toString('hex');
const PASSWORD = 'a good long password';
const USERS = `query ($filter: UserFilter, $orderBy: UserOrder, $first: Int) {
  users(filter: $filter, orderBy: $orderBy, first: $first) {
    totalCount nodes { id username email isActive isStaff createdAt }
  }
}`;
const SET_STATUS = `mutation ($input: SetUserStatusInput!) {
  setUserStatus(input: $input) {
    __typename
    ... on User { username isActive isStaff }
    ... on Error { message }
    ... on ValidationError { fields { path message } }
  }
}`;
const TODOS = 'subscription ($after: String) { todoChanged(after: $after) { todo { title } } }';
const OBTAIN = `mutation ($username: String!) {
  obtainToken(input: { username: $username, password: "${PASSWORD}" }) { __typename ... on TokenPair { token refreshToken } }
}`;
const KEY = `mutation ($username: String!) {
  createAuthToken(input: { username: $username, password: "${PASSWORD}" }) { ... on AuthTokenKey { authToken } }
}`;

interface Status {
  readonly isActive?: boolean | null;
  readonly isStaff?: boolean | null;
}

let app: TestApp;
let root: Person;
let ann: Person;
let count = 0;

beforeAll(async () => {
  app = await startApp({ SECRET_KEY });
  root = await app.signUpStaff('root');
  ann = await app.signUp('ann');
});
afterAll(() => app.close());

function newcomer({ isStaff = false } = {}): Promise<Person> {
  count += 1;
  return isStaff ? app.signUpStaff(`user${count}`) : app.signUp(`user${count}`);
}

const idOf = async ({ username }: Person): Promise<string> =>
  globalId('User', (await app.sql('SELECT "id" FROM "User" WHERE "username" = ?', username))[0]?.['id']);

async function setStatus(by: Person, subject: Person, status: Status) {
  const input = { userId: await idOf(subject), ...status };
  return (await by.gql(SET_STATUS, { input })).setUserStatus;
}

async function isAccepted(person: Person): Promise<boolean> {
  const { errors } = await person.ask('{ viewer { id } }');
  return errors === undefined;
}

const signInOf = async (username: string): Promise<string> =>
  (await app.anonymous.gql(OBTAIN, { username })).obtainToken.__typename;

describe('users', () => {
  const MADE = '2020-02-03T04:05:06.000+00:00';
  const NAMES = ['Zoë', 'zoo', 'Ämilie', 'per%cent', 'zz_top', 'Ärger'];
  beforeAll(async () => {
    for (const [index, name] of NAMES.entries()) {
      await app.sql(
        'INSERT INTO "User" ("username", "usernameKey", "passwordHash", "email", "isActive", "createdAt") VALUES (?, ?, ?, ?, ?, ?)',
        name,
        name.toLowerCase(),
        '!',
        `Mail${index}@list.example`,
        index % 2 === 0,
        MADE,
      );
    }
  });

  const named = async (filter: object, orderBy?: object): Promise<string[]> => {
    const { users } = await root.gql(USERS, { filter: { emailContains: '@list.example', ...filter }, orderBy });
    expect(users.totalCount).toBe(users.nodes.length);
    return users.nodes.map(({ username }: { username: string }) => username);
  };

  it('should show staff all users, with what others do not see', async () => {
    const { users } = await root.gql(USERS, { filter: { usernameStartsWith: 'ROO' } });
    expect(users).toEqual({
      totalCount: 1,
      nodes: [
        {
          id: await idOf(root),
          username: 'root',
          email: '',
          isActive: true,
          isStaff: true,
          createdAt: expect.any(String),
        },
      ],
    });
  });

  it('should be narrowed by each condition of the filter, and by several at once', async () => {
    expect(await named({})).toEqual(NAMES);
    expect(await named({ usernameStartsWith: 'Z' })).toEqual(['Zoë', 'zoo', 'zz_top']);
    expect(await named({ usernameStartsWith: 'ä' })).toEqual(['Ämilie', 'Ärger']);
    expect(await named({ usernameStartsWith: '' })).toEqual(NAMES);
    expect(await named({ usernameStartsWith: '%' })).toEqual([]);
    expect(await named({ usernameContains: 'Ë' })).toEqual(['Zoë']);
    expect(await named({ usernameContains: '_' })).toEqual(['zz_top']);
    expect(await named({ emailContains: 'mail3@' })).toEqual(['per%cent']);
    expect(await named({ isActive: false })).toEqual(['zoo', 'per%cent', 'Ärger']);
    expect(await named({ isStaff: true })).toEqual([]);
    expect(await named({ isStaff: false, isActive: true, usernameStartsWith: 'zo' })).toEqual(['Zoë']);
    expect(await named({ createdFrom: MADE, createdBefore: '2020-02-03T04:05:06.001Z' })).toEqual(NAMES);
    expect(await named({ createdBefore: MADE })).toEqual([]);
    for (const text of ['\u{10ffff}', 'x'.repeat(150)]) {
      expect(await named({ usernameStartsWith: text })).toEqual([]);
      expect(await named({ usernameContains: text })).toEqual([]);
    }
    for (const filter of [
      { usernameStartsWith: '\0' },
      { usernameContains: 'x'.repeat(151) },
      { emailContains: '\ud800' },
    ]) {
      expect(await root.codeOf(USERS, { filter })).toBe('VALIDATION');
    }
  });

  it('should come in the order that is asked for', async () => {
    const byCodePoint = ['Zoë', 'per%cent', 'zoo', 'zz_top', 'Ämilie', 'Ärger'];
    expect(await named({}, { field: 'USERNAME', direction: 'ASC' })).toEqual(byCodePoint);
    expect(await named({}, { field: 'USERNAME', direction: 'DESC' })).toEqual(byCodePoint.toReversed());
    expect(await named({}, { field: 'CREATED_AT', direction: 'DESC' })).toEqual(NAMES.toReversed());
  });
});

describe('what is for staff', () => {
  it.each([
    ['users', '{ list: users { totalCount } }'],
    ['audit entries', '{ list: auditEntries { totalCount } }'],
    ['the status of users', 'mutation { setUserStatus(input: { userId: 1, isActive: false }) { __typename } }'],
  ])('should be refused to everybody else: %s', async (_name, query) => {
    const before = await app.sql('SELECT * FROM "User" ORDER BY "id"');
    expect(await ann.codeOf(query)).toBe('FORBIDDEN');
    expect(await app.anonymous.codeOf(query)).toBe('UNAUTHENTICATED');
    expect((await ann.ask(query)).data).toBeNull();
    expect(await app.sql('SELECT * FROM "User" ORDER BY "id"')).toEqual(before);
  });

  it('should be refused from the moment on at which they are no longer staff', async () => {
    const former = await newcomer({ isStaff: true });
    expect((await former.gql(USERS, { first: 0 })).users.totalCount).toBeGreaterThan(0);
    await setStatus(root, former, { isStaff: false });
    expect(await former.codeOf(USERS)).toBe('FORBIDDEN');
    expect(await former.codeOf('{ auditEntries { totalCount } }')).toBe('FORBIDDEN');
  });
});

describe('setUserStatus', () => {
  let other: ServerProcess;
  beforeAll(async () => {
    other = await startProcess({ ...app.databaseEnv, SECRET_KEY });
  });
  afterAll(() => other.stop());

  it.each(['this process', 'another one'])(
    'should end whatever a deactivated user has open in %s, and give it back to nobody',
    async (place) => {
      const url = place === 'this process' ? app.url : other.url;
      const ben = await newcomer();
      // Tokens that were minted elsewhere are good when they are younger than the password.
      await app.sql(
        `UPDATE "User" SET "credentialsChangedAt" = '2020-01-01T00:00:00.000+00:00' WHERE "id" = ${numberOf(await idOf(ben))}`,
      );
      const { obtainToken } = await app.anonymous.gql(OBTAIN, { username: ben.username });
      const { createAuthToken } = await app.anonymous.gql(KEY, { username: ben.username });
      const there = new Person(url, `Bearer ${obtainToken.token}`, ben.username);
      const program = there.with(`Token ${createAuthToken.authToken}`);
      const now = Math.floor(Date.now() / 1000);
      const claims = { user_id: numberOf(await idOf(ben)), username: ben.username, exp: now + 600, orig_iat: now - 1 };
      const minted = there.with(`JWT ${jwt.sign(claims, SECRET_KEY)}`);
      const everything = [there, program, minted];
      expect(await Promise.all(everything.map(isAccepted))).toEqual([true, true, true]);
      const { createChatSession } = await there.gql('mutation { createChatSession { ... on ChatSession { uri } } }');
      const socket = await SocketClient.open(url, program.authorization);
      const stream = await EventStream.open(url, { query: TODOS, authorization: there.authorization });
      const headers = { authorization: there.authorization ?? '' };
      const chat = new RawSocket(`${url}/ws/chats/${createChatSession.uri}/`, { headers });
      const legacy = new RawSocket(`${url}/ws/subscribe/`, { headers });
      await Promise.all([chat.opened, legacy.opened]);

      expect(await setStatus(root, ben, { isActive: false })).toEqual({
        __typename: 'User',
        username: ben.username,
        isActive: false,
        isStaff: false,
      });
      for (const { closed } of [socket, chat, legacy]) {
        expect((await closed).code).toBe(4403);
      }
      expect(await stream.result()).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
      expect(await Promise.all(everything.map(isAccepted))).toEqual([false, false, false]);
      expect(await signInOf(ben.username)).toBe('CredentialsError');
      expect(
        (
          await app.anonymous.gql('mutation ($t: String!) { refreshToken(refreshToken: $t) { __typename } }', {
            t: obtainToken.refreshToken,
          })
        ).refreshToken.__typename,
      ).toBe('CredentialsError');

      expect(await setStatus(root, ben, { isActive: true })).toMatchObject({ isActive: true });
      expect(await Promise.all(everything.map(isAccepted))).toEqual([false, false, false]);
      expect(await signInOf(ben.username)).toBe('TokenPair');
    },
  );

  it.each([false, true])('should have the streams of a user start over whose isStaff was %s', async (was) => {
    const person = await newcomer({ isStaff: was });
    const sockets = await Promise.all([app.url, other.url].map((url) => SocketClient.open(url, person.authorization)));
    const after = await endOfLog(app);
    const operations = sockets.map((socket) => socket.start(TODOS, { after }));
    await person.gql('mutation { createTodo(input: { title: "seen" }) { __typename } }');
    for (const operation of operations) {
      expect((await operation.event()).todo).toMatchObject({ title: 'seen' });
    }
    expect(await setStatus(root, person, { isStaff: !was })).toMatchObject({ isStaff: !was });
    for (const { ended } of operations) {
      expect(await ended).toMatchObject([{ extensions: { code: 'RESYNC_REQUIRED' } }]);
    }
    expect(await isAccepted(person)).toBe(true);
    expect((await person.ask(USERS, { first: 0 })).errors === undefined).toBe(!was);
    await Promise.all(sockets.map((socket) => socket.close()));
  });

  it('should change both at once, leave what is left out, and change nothing that is so already', async () => {
    const person = await newcomer();
    expect(await setStatus(root, person, { isStaff: true, isActive: false })).toMatchObject({
      isStaff: true,
      isActive: false,
    });
    expect(await setStatus(root, person, { isActive: true })).toMatchObject({ isStaff: true, isActive: true });
    const again = await app.anonymous.signIn(person.username, PASSWORD);
    expect(await setStatus(root, person, { isActive: true, isStaff: true })).toMatchObject({ isStaff: true });
    expect(await setStatus(root, person, {})).toMatchObject({ isStaff: true, isActive: true });
    expect(await isAccepted(again)).toBe(true);
  });

  it('should say which user or value is none', async () => {
    for (const userId of ['0', '999999', 'x', '9999999999999']) {
      expect((await root.gql(SET_STATUS, { input: { userId, isActive: false } })).setUserStatus).toEqual({
        __typename: 'NotFoundError',
        message: 'Not found.',
      });
    }
    expect(await setStatus(root, ann, { isActive: null, isStaff: null })).toMatchObject({
      __typename: 'ValidationError',
      fields: [
        { path: 'isActive', message: 'This field may not be null.' },
        { path: 'isStaff', message: 'This field may not be null.' },
      ],
    });
  });

  it('should keep staff from deactivating or demoting themselves', async () => {
    expect(await setStatus(root, root, { isActive: false, isStaff: false })).toMatchObject({
      __typename: 'ValidationError',
      fields: [
        { path: 'isActive', message: expect.stringContaining('deactivateViewer') },
        { path: 'isStaff', message: expect.stringContaining('another staff member') },
      ],
    });
    expect(await setStatus(root, root, { isStaff: false })).toMatchObject({ fields: [{ path: 'isStaff' }] });
    expect(await setStatus(root, root, { isStaff: true, isActive: true })).toMatchObject({ isStaff: true });
  });

  it.each([2, 3, 5])(
    'should leave somebody on the staff when %i members take it from each other at once',
    async (size) => {
      for (let round = 0; round < 5; round += 1) {
        const members = await Promise.all(Array.from({ length: size }, () => newcomer({ isStaff: true })));
        const answers = await Promise.all(
          members.map(async (member, index) => {
            const next = members[(index + 1) % size] as Person;
            const input = { userId: await idOf(next), ...(index % 2 === 0 ? { isStaff: false } : { isActive: false }) };
            // Half of them at another node.
            const place = index % 2 === 0 ? member : new Person(other.url, member.authorization, member.username);
            return place.ask(SET_STATUS, { input });
          }),
        );
        const left = await app.sql(
          `SELECT "id" FROM "User" WHERE "isStaff" = ? AND "isActive" = ? AND "username" IN (${members.map(() => '?').join()})`,
          true,
          true,
          ...members.map(({ username }) => username),
        );
        expect(left.length).toBeGreaterThan(0);
        const done = answers.filter(({ errors }) => errors === undefined);
        expect(done).toHaveLength(size - left.length);
        const codes = answers.flatMap(({ errors = [] }) => errors.map(({ extensions }) => extensions?.['code']));
        expect(codes.filter((code) => code !== 'FORBIDDEN' && code !== 'UNAUTHENTICATED')).toEqual([]);
      }
    },
  );
});
