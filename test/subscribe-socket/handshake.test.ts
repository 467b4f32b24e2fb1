import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { RawSocket } from '../kit/socket.ts';

const PASSWORD = 'a good long password';
const PATH = '/ws/subscribe/';
const LISTED = 'https://app.example.org';
const FORBIDDEN = 'Unauthorized to subscribe to posts.Post for action list';

let app: TestApp;
let ann: Person;
let jwt: string;
let key: string;

beforeAll(async () => {
  app = await startApp({ CORS_ORIGINS: `${LISTED},http://localhost:3000` });
  ann = await app.signUp('ann');
  jwt = jwtOf(ann);
  key = await keyOf(ann);
});
afterAll(() => app.close());

function jwtOf({ authorization }: Person): string {
  return (authorization ?? '').replace('Bearer ', '');
}

async function keyOf({ username }: Person): Promise<string> {
  const { createAuthToken } = await app.anonymous.gql(
    'mutation ($input: LoginInput!) { createAuthToken(input: $input) { ... on AuthTokenKey { authToken } } }',
    { input: { username, password: PASSWORD } },
  );
  return createAuthToken.authToken;
}

interface Handshake {
  readonly query?: string;
  readonly headers?: Record<string, string>;
}

/** Whether a socket that is opened so is that of somebody who is signed in. */
async function isSignedIn({ query = '', headers = {} }: Handshake): Promise<boolean> {
  const socket = new RawSocket(`${app.url}${PATH}${query}`, { headers });
  await socket.opened;
  socket.send({ type: 'subscribe', id: 1, model: 'posts.Post', action: 'list' });
  socket.send({ type: 'unsubscribe', id: 1 });
  socket.send({ type: 'unsubscribe', id: 1 });
  const closed = socket.closed.then(({ code, reason }) => {
    throw new Error(`${code} ${reason}`);
  });
  closed.catch(() => undefined);
  const { message } = await Promise.race([socket.nextJson(), closed]);
  socket.terminate();
  return message !== FORBIDDEN;
}

describe('a credential is taken', () => {
  it.each<[string, () => Handshake]>([
    ['out of the header, as JWT', () => ({ headers: { authorization: `JWT ${jwt}` } })],
    ['out of the header, as Bearer', () => ({ headers: { authorization: `bearer ${jwt}` } })],
    ['out of the header, as Token', () => ({ headers: { authorization: `Token ${key}` } })],
    ['out of ?token=, a JWT', () => ({ query: `?token=${jwt}` })],
    ['out of ?token=, a key', () => ({ query: `?a=b&token=${key}` })],
    ['out of the cookie, a JWT', () => ({ headers: { cookie: `a=b; sessionid=${jwt}; c=d` } })],
    ['out of the cookie, a key', () => ({ headers: { cookie: `sessionid="${key}"` } })],
    ['out of the cookie, from a page of ours', () => ({ headers: { cookie: `sessionid=${jwt}`, origin: app.url } })],
    [
      'out of the cookie, from a page that is listed',
      () => ({ headers: { cookie: `sessionid=${jwt}`, origin: LISTED } }),
    ],
    ['out of ?token=, from any page', () => ({ query: `?token=${jwt}`, headers: { origin: 'https://elsewhere.org' } })],
    [
      'out of ?token= beside a header of another sort',
      () => ({ query: `?token=${jwt}`, headers: { authorization: 'Basic YTpi' } }),
    ],
    [
      'out of the header rather than from elsewhere',
      () => ({ query: '?token=bad', headers: { authorization: `JWT ${jwt}`, cookie: 'sessionid=bad' } }),
    ],
  ])('%s', async (_name, handshake) => {
    expect(await isSignedIn(handshake())).toBe(true);
  });
});

describe('anonymous is', () => {
  it.each<[string, () => Handshake]>([
    ['who sends nothing', () => ({})],
    [
      'who sends nothing in particular',
      () => ({ query: '?token=', headers: { authorization: '', cookie: 'sessionid=' } }),
    ],
    ['who sends a cookie of another name', () => ({ headers: { cookie: `xsessionid=${jwt}; csrftoken=${jwt}` } })],
    [
      'whose cookie a page of another site has sent along',
      () => ({ headers: { cookie: `sessionid=${jwt}`, origin: 'https://evil.example' } }),
    ],
    ['whose cookie comes from no site at all', () => ({ headers: { cookie: `sessionid=${jwt}`, origin: 'null' } })],
    [
      'whose cookie comes from another port of ours',
      () => ({ headers: { cookie: `sessionid=${jwt}`, origin: 'http://127.0.0.1:1' } }),
    ],
    [
      'whose cookie comes from a site that only looks listed',
      () => ({ headers: { cookie: `sessionid=${jwt}`, origin: `${LISTED}.evil.example` } }),
    ],
  ])('%s', async (_name, handshake) => {
    expect(await isSignedIn(handshake())).toBe(false);
  });

  it('whose cookie comes from another site where any may call', async () => {
    const open = await startApp();
    const somebody = await open.signUp('somebody');
    const headers = { cookie: `sessionid=${jwtOf(somebody)}`, origin: 'https://evil.example' };
    const socket = new RawSocket(`${open.url}${PATH}`, { headers });
    await socket.opened;
    socket.send({ type: 'subscribe', id: 1, model: 'posts.Post', action: 'list' });
    expect(await socket.nextJson()).toMatchObject({ code: 403 });
    socket.terminate();
    await open.close();
  });
});

describe('a credential that is refused', () => {
  it.each<[string, () => Handshake, string]>([
    ['no JWT', () => ({ query: '?token=nonsense' }), 'Error decoding signature.'],
    ['unknown key', () => ({ headers: { authorization: `Token ${'0'.repeat(40)}` } }), 'Invalid token.'],
    [
      'a scheme alone',
      () => ({ headers: { authorization: 'JWT' } }),
      'Invalid Authorization header. No credentials provided.',
    ],
    [
      'a token with a space',
      () => ({ query: '?token=a%20b' }),
      'Invalid Authorization header. Credentials string should not contain spaces.',
    ],
    ['a bad cookie', () => ({ headers: { cookie: 'sessionid=bad' } }), 'Error decoding signature.'],
  ])('(%s) closes the socket after the handshake, with the reason', async (_name, handshake, reason) => {
    const { query = '', headers = {} } = handshake();
    const socket = new RawSocket(`${app.url}${PATH}${query}`, { headers });
    await socket.opened;
    socket.send({ request_id: 1, unsubscribe: true });
    expect(await socket.closed).toEqual({ code: 4403, reason });
    expect(socket.frames.drain()).toEqual([]);
  });
});

describe('the end of a credential closes its sockets', () => {
  let count = 0;
  const somebody = (): Promise<Person> => {
    count += 1;
    return app.signUp(`somebody${count}`);
  };
  const update = (username: string, data: object) =>
    app.app.services.database.user.updateMany({ where: { username }, data });

  it.each<[string, (person: Person) => Promise<unknown>, string]>([
    ['signing out', (person) => person.gql('mutation { destroyAuthToken }'), 'The credential was ended.'],
    [
      'a new password',
      (person) =>
        person.gql('mutation ($input: ChangePasswordInput!) { changePassword(input: $input) { __typename } }', {
          input: { currentPassword: PASSWORD, newPassword: 'another long password' },
        }),
      'The credential was ended.',
    ],
    ['a deactivation', ({ username }) => update(username, { isActive: false }), 'User account is disabled.'],
  ])('%s', async (_name, end, reason) => {
    const person = await somebody();
    const bystander = new RawSocket(`${app.url}${PATH}?token=${jwt}`);
    const socket = new RawSocket(`${app.url}${PATH}?token=${jwtOf(person)}`);
    await Promise.all([socket.opened, bystander.opened]);
    socket.send({ type: 'subscribe', id: 1, model: 'posts.Post', action: 'list' });
    socket.send({ request_id: 1, unsubscribe: true });
    expect(await socket.nextJson()).toMatchObject({ request_id: 1 });
    await end(person);
    const { code, reason: received } = await socket.closed;
    expect(code).toBe(4403);
    expect([reason, 'The password was changed.']).toContain(received);
    await app.app.services.database.post.create({ data: { title: 'after', content: '…' } });
    expect(socket.frames.drain()).toEqual([]);
    bystander.send({ request_id: 2, unsubscribe: true });
    expect(await bystander.nextJson()).toMatchObject({ request_id: 2 });
    bystander.terminate();
  });

  it('its time', async () => {
    const brief = await startApp({ ACCESS_TOKEN_LIFE_S: '2' });
    const socket = new RawSocket(`${brief.url}${PATH}?token=${jwtOf(await brief.signUp('ann'))}`);
    await socket.opened;
    expect(await socket.closed).toEqual({ code: 4403, reason: 'Signature has expired.' });
    await brief.close();
  });
});

it('a server that keeps nothing for everybody refuses anonymous callers', async () => {
  const closed = await startApp({ ALLOW_ANONYMOUS: 'false' });
  const anonymous = new RawSocket(`${closed.url}${PATH}`);
  expect(await anonymous.closed).toEqual({ code: 4401, reason: 'Authentication credentials were not provided.' });
  const socket = new RawSocket(`${closed.url}${PATH}?token=${jwtOf(await closed.signUp('ann'))}`);
  await socket.opened;
  socket.send({ request_id: 1, unsubscribe: true });
  expect(await socket.nextJson()).toMatchObject({ request_id: 1 });
  socket.terminate();
  await closed.close();
});
