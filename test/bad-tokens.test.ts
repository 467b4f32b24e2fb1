import { createHmac, randomBytes } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { numberOf } from './kit/ids.ts';
import type { Person } from './kit/person.ts';

const SECRET_KEY = randomBytes(32).toString('hex');
const PASSWORD = 'a good long password';
const ERRORS = '... on Error { message }';
const SIGN_UP = 'mutation ($input: SignUpInput!) { signUp(input: $input) { __typename ... on User { username } } }';
const OBTAIN = `mutation ($input: LoginInput!) {
  obtainToken(input: $input) { __typename ... on TokenPair { token expiresAt refreshToken } ${ERRORS} }
}`;
const REFRESH = 'mutation ($refreshToken: String!) { refreshToken(refreshToken: $refreshToken) { __typename } }';
const VERIFY = `mutation ($token: String!) {
  verifyToken(token: $token) { __typename ... on VerifiedToken { token expiresAt user { username } } ${ERRORS} }
}`;
const CREATE_KEY = `mutation ($input: LoginInput!) {
  createAuthToken(input: $input) { __typename ... on AuthTokenKey { authToken } ${ERRORS} }
}`;
const ME = '{ viewer { id username } }';
const COUNT_TODOS = '{ todos { totalCount } }';
const CREATE_TODO = 'mutation { createTodo(input: { title: "x" }) { __typename } }';

let app: TestApp;
let ann: Person;
let annId: number;

beforeAll(async () => {
  app = await startApp({ SECRET_KEY });
  ann = await app.signUp('ann');
  annId = numberOf((await ann.gql(ME)).viewer.id);
});
afterAll(() => app.close());

const obtain = async (username: string) =>
  (await app.anonymous.gql(OBTAIN, { input: { username, password: PASSWORD } })).obtainToken;
const verify = async (token: string) => (await app.anonymous.gql(VERIFY, { token })).verifyToken;
const createKey = async (username: string) =>
  (await app.anonymous.gql(CREATE_KEY, { input: { username, password: PASSWORD } })).createAuthToken;
/** Whether a credential is accepted; one that is not must be refused, never overlooked. */
async function isAccepted(authorization: string): Promise<boolean> {
  const { data, errors } = await app.anonymous.with(authorization).ask(ME);
  const fate = data?.viewer ? 'accepted' : errors?.[0]?.extensions?.['code'];
  expect(['accepted', 'UNAUTHENTICATED']).toContain(fate);
  return fate === 'accepted';
}

const nowInSeconds = (): number => Math.ceil(Date.now() / 1000);

/** What a good access token says, with changes. */
const claims = (changes: Record<string, unknown> = {}): Record<string, unknown> => ({
  user_id: annId,
  username: 'ann',
  email: '',
  exp: nowInSeconds() + 600,
  orig_iat: nowInSeconds(),
  ...changes,
});
const mint = (payload: Record<string, unknown>, secret = SECRET_KEY, algorithm: jwt.Algorithm = 'HS256'): string =>
  jwt.sign(JSON.parse(JSON.stringify(payload)), secret, { algorithm, noTimestamp: true });

/** Signs what the library refuses to sign. */
function mintByHand(payload: unknown): string {
  const body = [{ alg: 'HS256', typ: 'JWT' }, payload].map((part) => Buffer.from(JSON.stringify(part)));
  const signed = body.map((part) => part.toString('base64url')).join('.');
  return `${signed}.${createHmac('sha256', SECRET_KEY).update(signed).digest('base64url')}`;
}

function tamper(token: string): string {
  const [header, , signature] = token.split('.');
  const payload = Buffer.from(JSON.stringify(claims({ user_id: annId, extra: 1 }))).toString('base64url');
  return [header, payload, signature].join('.');
}

const EXPIRED = 'The access token has expired. Refresh it, or sign in again.';
const ENDED = 'The session has ended: signed out, ended elsewhere, or by a new password. Sign in again.';
const UNKNOWN_KEY = 'The API key is unknown or was revoked. Sign in, or create a new one.';
const UNDECODABLE = 'Error decoding signature.';
const INAPPLICABLE = 'Incorrect authentication credentials.';
const INVALID = 'Invalid payload.';

/** Every kind of bad access token: what it is, the error of a request with it, and what `verifyToken` says. */
const BAD_TOKENS: readonly (readonly [string, () => string, string, string])[] = [
  ['has expired', () => mint(claims({ exp: nowInSeconds() - 60 })), EXPIRED, EXPIRED],
  ['is not signed', () => mint(claims(), '', 'none'), INAPPLICABLE, UNDECODABLE],
  ['is signed with HS384', () => mint(claims(), SECRET_KEY, 'HS384'), INAPPLICABLE, UNDECODABLE],
  ['is signed with another secret', () => mint(claims(), randomBytes(32).toString('hex')), UNDECODABLE, UNDECODABLE],
  ['was altered', () => tamper(mint(claims())), UNDECODABLE, UNDECODABLE],
  ['is cut short', () => mint(claims()).slice(0, -5), UNDECODABLE, UNDECODABLE],
  [
    'has a payload that is not JSON',
    () => mint(claims()).replace(/\.[^.]+\./, `.${Buffer.from('{"user_id":\n').toString('base64url')}.`),
    UNDECODABLE,
    UNDECODABLE,
  ],
  ['has no signature', () => mint(claims()).replace(/[^.]+$/, ''), UNDECODABLE, UNDECODABLE],
  ['is garbage', () => 'garbage', UNDECODABLE, UNDECODABLE],
  ['is valid from tomorrow on', () => mint(claims({ nbf: nowInSeconds() + 86_400 })), INAPPLICABLE, UNDECODABLE],
  ['is meant for another audience', () => mint(claims({ aud: 'somebody else' })), INAPPLICABLE, UNDECODABLE],
  ['never expires', () => mint(claims({ exp: undefined })), INVALID, INVALID],
  ['expires at no number', () => mintByHand(claims({ exp: 'soon' })), UNDECODABLE, UNDECODABLE],
  ['names another user’s id', () => mint(claims({ user_id: annId + 1 })), INVALID, INVALID],
  ['has its user’s id as text', () => mint(claims({ user_id: String(annId) })), INVALID, INVALID],
  ['names nobody', () => mint(claims({ username: undefined })), INVALID, INVALID],
  ['has a list', () => mintByHand([claims()]), INVALID, INVALID],
  ['names a user who is gone', () => mint(claims({ username: 'gone' })), 'Invalid signature.', "User doesn't exist."],
  ['belongs to no sign-in', () => mint(claims({ sid: '0'.repeat(32) })), ENDED, ENDED],
  ['is older than the password', () => mint(claims({ orig_iat: nowInSeconds() - 3600 })), ENDED, ENDED],
];

describe('verifying', () => {
  it('should return whose a valid token is and when it expires', async () => {
    const { token, expiresAt } = await obtain('ann');
    const good = { __typename: 'VerifiedToken', user: { username: 'ann' } };
    expect(await verify(token)).toEqual({ ...good, token, expiresAt });
    expect(await verify(mint(claims()))).toMatchObject(good);
    expect(await isAccepted(`JWT ${mint(claims())}`)).toBe(true);
  });

  it.each(BAD_TOKENS)('should say why not when it %s', async (_which, token, _told, message) => {
    expect(await verify(token())).toEqual({ __typename: 'CredentialsError', message });
  });

  it('should refuse the token of a closed account and of an ended sign-in', async () => {
    const eve = await app.signUp('eve');
    const id = numberOf((await eve.gql(ME)).viewer.id);
    const { token } = await obtain('eve');
    const minted = mint(claims({ user_id: id, username: 'eve' }));
    await app.anonymous.with(`JWT ${token}`).gql('mutation { destroyAuthToken }');
    expect(await verify(token)).toMatchObject({ message: ENDED });
    expect(await verify(minted)).toMatchObject({ __typename: 'VerifiedToken' });
    await eve.gql(`mutation { deactivateViewer(currentPassword: "${PASSWORD}") { __typename } }`);
    expect(await verify(minted)).toEqual({ __typename: 'CredentialsError', message: 'The account is deactivated.' });
  });
});

describe('a request whose token', () => {
  it.each(BAD_TOKENS)('%s should be refused, never served as if it had none', async (_which, token, message) => {
    const { totalCount } = (await app.anonymous.gql(COUNT_TODOS)).todos;
    for (const scheme of ['JWT', 'Bearer']) {
      const person = app.anonymous.with(`${scheme} ${token()}`);
      for (const operation of [COUNT_TODOS, ME, CREATE_TODO, '{ node(id: "x") { id } }']) {
        const { data, errors } = await person.ask(operation);
        expect(errors).toMatchObject([{ message, extensions: { code: 'UNAUTHENTICATED' } }]);
        expect(Object.values(data ?? {}).filter((value) => value !== null)).toEqual([]);
      }
    }
    expect((await app.anonymous.gql(COUNT_TODOS)).todos).toEqual({ totalCount });
  });

  it.each(BAD_TOKENS.slice(0, 8))('%s should still be able to sign in', async (_which, token) => {
    const username = `user-${randomBytes(4).toString('hex')}`;
    const person = app.anonymous.with(`Bearer ${token()}`);
    const input = { username, password: PASSWORD };
    expect((await person.gql(SIGN_UP, { input })).signUp).toEqual({ __typename: 'User', username });
    const pair = (await person.gql(OBTAIN, { input })).obtainToken;
    expect(pair).toMatchObject({ __typename: 'TokenPair' });
    expect((await person.gql(VERIFY, { token: pair.token })).verifyToken).toMatchObject({ token: pair.token });
    const renewed = await person.gql(REFRESH, { refreshToken: pair.refreshToken });
    expect(renewed.refreshToken).toMatchObject({ __typename: 'TokenPair' });
    expect((await person.gql(CREATE_KEY, { input })).createAuthToken).toMatchObject({ __typename: 'AuthTokenKey' });
  });
});

describe('the Authorization header', () => {
  it('should be read with its scheme in any case', async () => {
    const { token } = await obtain('ann');
    const { authToken } = await createKey('ann');
    for (const scheme of ['JWT', 'jwt', 'Jwt', 'Bearer', 'bearer', 'BEARER']) {
      expect(await isAccepted(`${scheme} ${token}`)).toBe(true);
    }
    for (const scheme of ['Token', 'token', 'TOKEN', 'Bearer', 'bEARER']) {
      expect(await isAccepted(`${scheme} ${authToken}`)).toBe(true);
    }
    expect(await isAccepted(`Token ${token}`)).toBe(false);
    expect(await isAccepted(`JWT ${authToken}`)).toBe(false);
  });

  it('should count as none when it is empty or of another scheme', async () => {
    for (const authorization of ['', ' ', 'Basic YW5uOnB3', 'Digest x', 'ann']) {
      expect(await app.anonymous.with(authorization).gql(ME)).toEqual({ viewer: null });
    }
  });

  it.each([
    ['JWT', 'Invalid Authorization header. No credentials provided.'],
    ['Bearer', 'Invalid Authorization header. No credentials provided.'],
    ['JWT a b', 'Invalid Authorization header. Credentials string should not contain spaces.'],
    ['JWT\tgarbage', UNDECODABLE],
    ['Token', 'Invalid token header. No credentials provided.'],
    ['Token a b', 'Invalid token header. Token string should not contain spaces.'],
    ['Token garbage', UNKNOWN_KEY],
    [`Token ${'0'.repeat(40)}`, UNKNOWN_KEY],
    [`Bearer ${'0'.repeat(40)}`, UNKNOWN_KEY],
  ])('should be refused when it is %j', async (authorization, message) => {
    const { data, errors } = await app.anonymous.with(authorization).ask(COUNT_TODOS);
    expect(errors).toMatchObject([{ message, extensions: { code: 'UNAUTHENTICATED' } }]);
    expect(data?.todos ?? null).toBeNull();
  });
});
