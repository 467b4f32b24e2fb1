import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import jwt from 'jsonwebtoken';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { afterSeconds, startApp, type TestApp } from './kit/app.ts';
import { globalId, numberOf } from './kit/ids.ts';
import type { Person } from './kit/person.ts';
import { ON_POSTGRES } from './kit/postgres.ts';

const SECRET_KEY = randomBytes(32).toString('hex');
const PASSWORD = 'a good long password';
const NEXT_PASSWORD = 'quite another password';
const PAIR = 'token expiresAt refreshToken refreshExpiresAt user { username }';
const ERRORS = '... on Error { message }';
const SIGN_UP = 'mutation ($input: SignUpInput!) { signUp(input: $input) { __typename ... on User { username } } }';
const OBTAIN = `mutation ($input: LoginInput!) {
  obtainToken(input: $input) { __typename ... on TokenPair { ${PAIR} } ${ERRORS} }
}`;
const REFRESH = `mutation ($refreshToken: String!) {
  refreshToken(refreshToken: $refreshToken) { __typename ... on TokenPair { ${PAIR} } ${ERRORS} }
}`;
const CREATE_KEY = `mutation ($input: LoginInput!) {
  createAuthToken(input: $input) { __typename ... on AuthTokenKey { authToken user { username } } ${ERRORS} }
}`;
const DESTROY = 'mutation { destroyAuthToken }';
const CHANGE_PASSWORD = `mutation ($currentPassword: String!, $newPassword: String!) {
  changePassword(input: { currentPassword: $currentPassword, newPassword: $newPassword }) {
    __typename ... on TokenPair { ${PAIR} } ${ERRORS} ... on ValidationError { fields { path message } }
  }
}`;
const ME = '{ viewer { id username } }';

const UNKNOWN_LOGIN = { __typename: 'CredentialsError', message: 'Unable to log in with provided credentials.' };
const DEAD_REFRESH = { __typename: 'CredentialsError', message: 'The refresh token is not valid.' };

let app: TestApp;
let ann: Person;

beforeAll(async () => {
  app = await startApp({ SECRET_KEY, MAX_FAILED_SIGN_INS: '1000' });
  ann = await app.signUp('ann');
});
afterAll(() => app.close());

const obtain = async (username: string, password = PASSWORD) =>
  (await app.anonymous.gql(OBTAIN, { input: { username, password } })).obtainToken;
const refresh = async (refreshToken: string) => (await app.anonymous.gql(REFRESH, { refreshToken })).refreshToken;
const createKey = async (username: string, password = PASSWORD) =>
  (await app.anonymous.gql(CREATE_KEY, { input: { username, password } })).createAuthToken;
const changePassword = async (person: Person, currentPassword: string, newPassword: string) =>
  (await person.gql(CHANGE_PASSWORD, { currentPassword, newPassword })).changePassword;
/** Whether a credential is accepted; one that is not must be refused, never overlooked. */
async function isAccepted(authorization: string): Promise<boolean> {
  const { data, errors } = await app.anonymous.with(authorization).ask(ME);
  const fate = data?.viewer ? 'accepted' : errors?.[0]?.extensions?.['code'];
  expect(['accepted', 'UNAUTHENTICATED']).toContain(fate);
  return fate === 'accepted';
}

describe('obtaining a token', () => {
  it('should give a JWT with the claims that programs rely on', async () => {
    await app.anonymous.gql(SIGN_UP, { input: { username: 'Cleo', password: PASSWORD, email: 'cleo@example.org' } });
    const pair = await obtain('cLEO');
    expect(pair).toMatchObject({ __typename: 'TokenPair', user: { username: 'Cleo' } });
    const { header, payload } = jwt.verify(pair.token, SECRET_KEY, { algorithms: ['HS256'], complete: true });
    expect(header.alg).toBe('HS256');
    expect(payload).toMatchObject({
      user_id: expect.any(Number),
      username: 'Cleo',
      email: 'cleo@example.org',
      exp: Date.parse(pair.expiresAt) / 1000,
      orig_iat: Date.parse(pair.expiresAt) / 1000 - 1800,
    });
    expect(Date.parse(pair.refreshExpiresAt)).toBeGreaterThan(Date.parse(pair.expiresAt));
    const cleo = app.anonymous.with(`Bearer ${pair.token}`);
    expect((await cleo.gql(ME)).viewer.id).toBe(globalId('User', (payload as jwt.JwtPayload)['user_id']));
  });

  it('should answer a wrong password, an unknown user and a closed account alike', async () => {
    const closed = await app.signUp('dan');
    await closed.gql(`mutation { deactivateViewer(currentPassword: "${PASSWORD}") { __typename } }`);
    for (const [username, password] of [
      ['ann', 'not her password'],
      ['ann', ''],
      ['ann', `${PASSWORD} `],
      ['ann', 'x'.repeat(100_000)],
      ['nobody', PASSWORD],
      ['', PASSWORD],
      ['x'.repeat(100_000), PASSWORD],
      ['ann\0', PASSWORD],
      ['\ud83c', PASSWORD],
      ['dan', PASSWORD],
    ] as const) {
      expect(await obtain(username, password)).toEqual(UNKNOWN_LOGIN);
      expect(await createKey(username, password)).toEqual(UNKNOWN_LOGIN);
    }
  });

  it('should end tokens when their life is over', async () => {
    const brief = await startApp({ SECRET_KEY, ACCESS_TOKEN_LIFE_S: '60', REFRESH_TOKEN_LIFE_S: '60' });
    try {
      await brief.signUp('ann');
      const login = { input: { username: 'ann', password: PASSWORD } };
      const { token, refreshToken } = (await brief.anonymous.gql(OBTAIN, login)).obtainToken;
      const me = () => brief.anonymous.with(`Bearer ${token}`).ask(ME);
      expect((await afterSeconds(50, me)).data?.viewer.username).toBe('ann');
      await afterSeconds(61, async () => {
        expect((await me()).errors).toMatchObject([
          {
            message: 'The access token has expired. Refresh it, or sign in again.',
            extensions: { code: 'UNAUTHENTICATED' },
          },
        ]);
        expect((await brief.anonymous.gql(REFRESH, { refreshToken })).refreshToken).toEqual(DEAD_REFRESH);
      });
    } finally {
      await brief.close();
    }
  });
});

describe('opaque keys', () => {
  it('should be 40 hex digits, work until destroyed, and die alone', async () => {
    const [first, second] = [await createKey('ann'), await createKey('ann')];
    expect(first).toMatchObject({ authToken: expect.stringMatching(/^[0-9a-f]{40}$/), user: { username: 'ann' } });
    expect(second.authToken).not.toBe(first.authToken);
    const person = app.anonymous.with(`Token ${first.authToken}`);
    expect((await person.gql(ME)).viewer.username).toBe('ann');
    expect(await person.gql(DESTROY)).toEqual({ destroyAuthToken: true });
    expect(await person.codeOf(ME)).toBe('UNAUTHENTICATED');
    expect(await person.codeOf(DESTROY)).toBe('UNAUTHENTICATED');
    expect(await isAccepted(`Token ${second.authToken}`)).toBe(true);
    expect(await isAccepted(ann.authorization ?? '')).toBe(true);
  });

  it('should be ended for a JWT by ending that sign-in only', async () => {
    const [first, second] = [await obtain('ann'), await obtain('ann')];
    const renewed = await refresh(first.refreshToken);
    expect(await app.anonymous.with(`Bearer ${renewed.token}`).gql(DESTROY)).toEqual({ destroyAuthToken: true });
    expect(await isAccepted(`Bearer ${first.token}`)).toBe(false);
    expect(await isAccepted(`Bearer ${renewed.token}`)).toBe(false);
    expect(await refresh(renewed.refreshToken)).toEqual(DEAD_REFRESH);
    expect(await isAccepted(`Bearer ${second.token}`)).toBe(true);
    expect(await app.anonymous.codeOf(DESTROY)).toBe('UNAUTHENTICATED');
  });

  it('should lie in the database as hashes only, like every other secret', async () => {
    const { authToken } = await createKey('ann');
    const { token, refreshToken } = await obtain('ann');
    const secret = refreshToken.split('.')[1];
    const rows = await app.sql('SELECT "keyHash" AS "hash" FROM "AuthToken" UNION SELECT "hash" FROM "RefreshToken"');
    const hashes = rows.map((row) => row['hash']);
    for (const value of [authToken, refreshToken]) {
      expect(hashes).toContain(createHash('sha256').update(value).digest('hex'));
    }
    if (ON_POSTGRES) {
      // Its files are the server's own.
      return;
    }
    const folder = dirname(app.databasePath);
    const bytes = Buffer.concat(readdirSync(folder).map((name) => readFileSync(join(folder, name))));
    expect(bytes.includes('$argon2id$')).toBe(true);
    for (const value of [authToken, refreshToken, secret, token, PASSWORD, SECRET_KEY]) {
      expect(bytes.includes(value)).toBe(false);
    }
  });
});

describe('changing the password', () => {
  it('should end every older token and key, and sign in anew', async () => {
    const fay = await app.signUp('fay');
    const id = numberOf((await fay.gql(ME)).viewer.id);
    const pair = await obtain('fay');
    const { authToken } = await createKey('fay');
    const now = Math.ceil(Date.now() / 1000);
    const minted = jwt.sign({ user_id: id, username: 'fay', exp: now + 600, orig_iat: now }, SECRET_KEY);
    const older = [`${fay.authorization}`, `JWT ${pair.token}`, `Token ${authToken}`, `JWT ${minted}`];
    for (const authorization of older) {
      expect(await isAccepted(authorization)).toBe(true);
    }
    // A token from another issuer has its age in whole seconds.
    const changed = await afterSeconds(2, () => changePassword(fay, PASSWORD, NEXT_PASSWORD));
    expect(changed).toMatchObject({ __typename: 'TokenPair', user: { username: 'fay' } });
    for (const authorization of older) {
      expect(await isAccepted(authorization)).toBe(false);
    }
    expect(await refresh(pair.refreshToken)).toEqual(DEAD_REFRESH);
    expect(await isAccepted(`JWT ${changed.token}`)).toBe(true);
    expect(await refresh(changed.refreshToken)).toMatchObject({ __typename: 'TokenPair' });
    expect(await obtain('fay')).toEqual(UNKNOWN_LOGIN);
    expect(await obtain('fay', NEXT_PASSWORD)).toMatchObject({ __typename: 'TokenPair' });
  });

  it('should leave nothing to those who sign in with the old password meanwhile', async () => {
    const username = 'gus';
    let gus = await app.signUp(username);
    let password = PASSWORD;
    for (let round = 0; round < 5; round += 1) {
      const next = `${NEXT_PASSWORD} ${round}`;
      const intruders = Array.from({ length: 8 }, async (_, n) => {
        await sleep(n * 3);
        return Promise.all([createKey(username, password), obtain(username, password)]);
      });
      const [changed, ...got] = await Promise.all([changePassword(gus, password, next), ...intruders]);
      for (const [key, pair] of got) {
        expect(key.authToken !== undefined && (await isAccepted(`Token ${key.authToken}`))).toBe(false);
        expect(pair.token !== undefined && (await isAccepted(`JWT ${pair.token}`))).toBe(false);
      }
      gus = app.anonymous.with(`JWT ${changed.token}`);
      password = next;
    }
  });

  it('should need the present password and a sound next one, and else end nothing', async () => {
    for (const [current, next, path, message] of [
      ['not her password', NEXT_PASSWORD, 'currentPassword', 'Invalid password.'],
      [PASSWORD, 'dragon123', 'newPassword', 'This password is too common.'],
      [PASSWORD, 'x'.repeat(129), 'newPassword', 'Ensure this field has no more than 128 characters.'],
    ] as const) {
      expect((await changePassword(ann, current, next)).fields).toEqual([{ path, message }]);
    }
    const words = { currentPassword: PASSWORD, newPassword: NEXT_PASSWORD };
    expect(await app.anonymous.codeOf(CHANGE_PASSWORD, words)).toBe('UNAUTHENTICATED');
    expect((await ann.gql(ME)).viewer.username).toBe('ann');
    expect(await obtain('ann')).toMatchObject({ __typename: 'TokenPair' });
  });
});
