import jsonwebtoken from 'jsonwebtoken';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { afterSeconds, startApp, type TestApp } from '../kit/app.ts';
import { BAD_TOKENS, claims, mint, nowInSeconds, SECRET_KEY, type Subject } from './tokens.ts';
import {
  contract,
  NO_NULS,
  NOT_BLANK,
  NOT_NULL,
  NOT_TEXT,
  PASSWORD,
  perform,
  REQUIRED,
  type Row,
  send,
  tooLong,
  type World,
} from './wire.ts';

const ALLOW = { allow: 'POST, OPTIONS' };
const DAY_S = 86_400;
/** When pat changed the password, in seconds since 1970; 0.7 seconds later, to be exact. */
const CHANGED_AT_S = nowInSeconds() - 3600;
const JWT_ANSWER = /^\{"token":"[\w-]+\.[\w-]+\.[\w-]+"\}$/;
const UNABLE = { non_field_errors: ['Unable to log in with provided credentials.'] };
const UNDECODABLE = { non_field_errors: ['Error decoding signature.'] };

/** What each path is called: by the documents, by djoser, and by the posts app. */
const OBTAIN = ['/auth/obtain_token/', '/auth/jwt/create/', '/api/auth/obtain_token/'];
const REFRESH = ['/auth/refresh_token/', '/auth/jwt/refresh/', '/api/auth/refresh_token/'];
const VERIFY = ['/auth/verify_token/', '/auth/jwt/verify/', '/api/auth/verify_token/'];

let app: TestApp;
let ann: Subject;
const world: World = {};

async function tokenOf(username: string): Promise<string> {
  const answer = await perform({ call: 'POST /auth/obtain_token/', json: { username, password: PASSWORD } }, world);
  return JSON.parse(answer.text).token;
}

async function rowOf(username: string): Promise<Subject> {
  const [row] = await app.sql('SELECT "id", "username" FROM "User" WHERE "username" = ?', username);
  return row as Subject;
}

beforeAll(async () => {
  app = await startApp({ SECRET_KEY, MAX_FAILED_SIGN_INS: '1000000' });
  Object.assign(world, { url: app.url });
  for (const username of ['ann', 'eve', 'out', 'pat']) {
    await app.signUp(username);
  }
  await app.sql('UPDATE "User" SET "email" = ? WHERE "username" = ?', 'ann@example.com', 'ann');
  await app.sql('UPDATE "User" SET "isActive" = ? WHERE "username" = ?', false, 'eve');
  ann = await rowOf('ann');
  const ended = await tokenOf('out');
  await perform({ call: 'POST /auth/token/destroy/', headers: { authorization: `JWT ${ended}` } }, world);
  const now = nowInSeconds();
  Object.assign(world, {
    jwt: await tokenOf('ann'),
    minted: mint(claims(ann)),
    closed: mint(claims(await rowOf('eve'))),
    ended,
    withoutOrigIat: mint(claims(ann, { orig_iat: undefined })),
    withZeroOrigIat: mint(claims(ann, { orig_iat: 0 })),
    closedWithoutOrigIat: mint(claims(await rowOf('eve'), { orig_iat: undefined })),
    goneWithoutOrigIat: mint(claims({ id: ann.id, username: 'gone' }, { orig_iat: undefined })),
    changedWithoutOrigIat: mint(claims(await rowOf('pat'), { orig_iat: undefined })),
    beforeChange: mint(claims(await rowOf('pat'), { orig_iat: CHANGED_AT_S - 1 })),
    atChange: mint(claims(await rowOf('pat'), { orig_iat: CHANGED_AT_S })),
    old: mint(claims(ann, { orig_iat: now - 8 * DAY_S })),
  });
  for (const { name, make } of BAD_TOKENS) {
    world[name] = make(ann);
  }
  // An account as old as its tokens claim: a token from before its last change of password would be an ended one.
  const created = new Date((now - 30 * DAY_S) * 1000).toISOString();
  await app.sql('UPDATE "User" SET "credentialsChangedAt" = ?, "createdAt" = ?', created, created);
  const changed = new Date(CHANGED_AT_S * 1000 + 700).toISOString();
  await app.sql('UPDATE "User" SET "credentialsChangedAt" = ? WHERE "username" = ?', changed, 'pat');
});
afterAll(() => app.close());

const everywhere = (paths: readonly string[], rows: (call: string) => readonly Row[]): Row[] =>
  paths.flatMap((path) => rows(`POST ${path}`).map((row) => ({ ...row, name: `${row.name} (${path})` })));

describe('obtaining a token', () => {
  const credentials = { username: 'ann', password: PASSWORD };
  contract(
    'answers',
    () => world,
    ALLOW,
    everywhere(OBTAIN, (call) => [
      { name: 'JSON', call, json: credentials, status: 200, answer: JWT_ANSWER },
      {
        name: 'a form',
        call,
        form: `username=ann&password=${PASSWORD.replaceAll(' ', '+')}`,
        status: 200,
        answer: JWT_ANSWER,
      },
      { name: 'multipart', call, parts: Object.entries(credentials), status: 200, answer: JWT_ANSWER },
      {
        name: 'a name in other letters',
        call,
        json: { ...credentials, username: 'ANN' },
        status: 200,
        answer: JWT_ANSWER,
      },
      {
        name: 'what has spaces around it',
        call,
        json: { username: ' ann ', password: ` ${PASSWORD} ` },
        status: 200,
        answer: JWT_ANSWER,
      },
      {
        name: 'more fields than it knows',
        call,
        json: { ...credentials, remember: [true] },
        status: 200,
        answer: JWT_ANSWER,
      },
      { name: 'a wrong password', call, json: { ...credentials, password: 'wrong' }, status: 400, answer: UNABLE },
      { name: 'an unknown name', call, json: { ...credentials, username: 'nobody' }, status: 400, answer: UNABLE },
      { name: 'a closed account', call, json: { ...credentials, username: 'eve' }, status: 400, answer: UNABLE },
      { name: 'numbers', call, json: { username: 1, password: 2.5 }, status: 400, answer: UNABLE },
      {
        name: 'an email in place of the name',
        call,
        json: { email: 'ann@example.com', password: PASSWORD },
        status: 400,
        answer: { username: [REQUIRED] },
      },
      { name: 'nothing', call, status: 400, answer: { username: [REQUIRED], password: [REQUIRED] } },
      { name: 'no fields', call, json: {}, status: 400, answer: { username: [REQUIRED], password: [REQUIRED] } },
      {
        name: 'nulls',
        call,
        json: { username: null, password: null },
        status: 400,
        answer: { username: [NOT_NULL], password: [NOT_NULL] },
      },
      {
        name: 'empty fields',
        call,
        json: { username: '', password: '  ' },
        status: 400,
        answer: { username: [NOT_BLANK], password: [NOT_BLANK] },
      },
      {
        name: 'what is no text',
        call,
        json: { username: true, password: ['x'] },
        status: 400,
        answer: { username: [NOT_TEXT], password: [NOT_TEXT] },
      },
      {
        name: 'a NUL',
        call,
        json: { username: 'a\0b', password: 'a\0b' },
        status: 400,
        answer: { username: [NO_NULS], password: [NO_NULS] },
      },
    ]),
  );

  it('should give a token signed with HS256 that says whose it is, until when and since when', async () => {
    const before = nowInSeconds() - 1;
    const token = await tokenOf('ann');
    const { header, payload } = jsonwebtoken.verify(token, SECRET_KEY, { complete: true });
    expect(header).toMatchObject({ alg: 'HS256', typ: 'JWT' });
    const { user_id, username, email, exp, orig_iat } = payload as Record<string, unknown>;
    expect({ user_id, username, email }).toEqual({ user_id: ann.id, username: 'ann', email: 'ann@example.com' });
    expect(orig_iat).toBeGreaterThanOrEqual(before);
    expect(orig_iat).toBeLessThanOrEqual(nowInSeconds());
    expect(exp).toBe(Number(orig_iat) + 1800);
  });
});

/** What is refused as a token before anybody looks into it. */
const malformed = (call: string): Row[] => [
  { name: 'none', call, json: {}, status: 400, answer: { token: [REQUIRED] } },
  { name: 'null', call, json: { token: null }, status: 400, answer: { token: [NOT_NULL] } },
  { name: 'an empty one', call, form: 'token=', status: 400, answer: { token: [NOT_BLANK] } },
  { name: 'a list', call, json: { token: ['{jwt}'] }, status: 400, answer: { token: [NOT_TEXT] } },
  { name: 'one with a NUL', call, json: { token: 'a\0' }, status: 400, answer: { token: [NO_NULS] } },
  {
    name: 'one that is too long',
    call,
    json: { token: 'x'.repeat(8193) },
    status: 400,
    answer: { token: [tooLong(8192)] },
  },
  { name: 'a number', call, json: { token: 1 }, status: 400, answer: UNDECODABLE },
  ...BAD_TOKENS.map(
    ({ name, verified }): Row => ({
      name,
      call,
      json: { token: `{${name}}` },
      status: 400,
      answer: { non_field_errors: [verified] },
    }),
  ),
  {
    name: 'that of a closed account',
    call,
    json: { token: '{closed}' },
    status: 400,
    answer: { non_field_errors: ['User account is disabled.'] },
  },
  { name: 'one that was signed out', call, json: { token: '{ended}' }, status: 400, answer: UNDECODABLE },
];

describe('verifying', () => {
  contract(
    'answers',
    () => world,
    ALLOW,
    everywhere(VERIFY, (call) => [
      { name: 'a good token', call, json: { token: '{jwt}' }, status: 200, answer: { token: '{jwt}' } },
      { name: 'one in a form', call, form: 'token={jwt}', status: 200, answer: { token: '{jwt}' } },
      { name: 'one in multipart', call, parts: [['token', '{jwt}']], status: 200, answer: { token: '{jwt}' } },
      { name: 'one with spaces around it', call, json: { token: ' {jwt}\n' }, status: 200, answer: { token: '{jwt}' } },
      { name: 'one minted elsewhere', call, json: { token: '{minted}' }, status: 200, answer: { token: '{minted}' } },
      ...['withoutOrigIat', 'withZeroOrigIat', 'atChange'].map((name) => ({
        name,
        call,
        json: { token: `{${name}}` },
        status: 200,
        answer: { token: `{${name}}` },
      })),
      ...['changedWithoutOrigIat', 'beforeChange'].map((name) => ({
        name,
        call,
        json: { token: `{${name}}` },
        status: 400,
        answer: UNDECODABLE,
      })),
      { name: 'an old sign-in', call, json: { token: '{old}' }, status: 200, answer: { token: '{old}' } },
      ...malformed(call),
    ]),
  );
});

describe('refreshing', () => {
  contract(
    'answers',
    () => world,
    ALLOW,
    everywhere(REFRESH, (call) => [
      { name: 'a good token', call, json: { token: '{jwt}' }, status: 200, answer: JWT_ANSWER },
      { name: 'one in a form', call, form: 'token={jwt}', status: 200, answer: JWT_ANSWER },
      { name: 'one minted elsewhere', call, json: { token: '{minted}' }, status: 200, answer: JWT_ANSWER },
      { name: 'one as old as the password', call, json: { token: '{atChange}' }, status: 200, answer: JWT_ANSWER },
      {
        name: 'one older than the password',
        call,
        json: { token: '{beforeChange}' },
        status: 400,
        answer: UNDECODABLE,
      },
      ...(
        [
          ['withoutOrigIat', 'orig_iat field is required.'],
          ['withZeroOrigIat', 'orig_iat field is required.'],
          ['changedWithoutOrigIat', 'orig_iat field is required.'],
          ['closedWithoutOrigIat', 'User account is disabled.'],
          ['goneWithoutOrigIat', "User doesn't exist."],
        ] as const
      ).map(([name, sentence]) => ({
        name,
        call,
        json: { token: `{${name}}` },
        status: 400,
        answer: { non_field_errors: [sentence] },
      })),
      {
        name: 'an old sign-in',
        call,
        json: { token: '{old}' },
        status: 400,
        answer: { non_field_errors: ['Refresh has expired.'] },
      },
      ...malformed(call),
    ]),
  );

  it('should give another token of the same sign-in, which can be refreshed in turn', async () => {
    const first = await tokenOf('ann');
    let token = first;
    for (let round = 0; round < 2; round += 1) {
      // The times in tokens are whole seconds.
      const { status, text } = await afterSeconds(2 * (round + 1), () =>
        perform({ call: 'POST /auth/refresh_token/', form: `token=${token}` }, world),
      );
      expect(status, text).toBe(200);
      const next: string = JSON.parse(text).token;
      const [old, fresh] = [token, next].map((jwt) => jsonwebtoken.verify(jwt, SECRET_KEY) as Record<string, unknown>);
      expect(next).not.toBe(token);
      expect(fresh).toMatchObject({ orig_iat: old?.['orig_iat'], user_id: ann.id, username: 'ann' });
      expect(fresh?.['exp']).toBeGreaterThan(Number(old?.['exp']));
      token = next;
    }
    const still = await perform({ call: 'GET /api/posts/', headers: { authorization: `JWT ${first}` } }, world);
    expect(still.status).toBe(200);
  });

  it('should end with a change of the password', async () => {
    await app.signUp('cat');
    const token = await tokenOf('cat');
    const json = { current_password: PASSWORD, new_password: 'another long password' };
    const headers = { authorization: `JWT ${token}` };
    expect(await perform({ call: 'POST /auth/password/', headers, json }, world)).toMatchObject({ status: 204 });
    for (const path of [...REFRESH, ...VERIFY]) {
      const { status, text } = await perform({ call: `POST ${path}`, json: { token } }, world);
      expect([status, text]).toEqual([400, JSON.stringify(UNDECODABLE)]);
    }
  });
});

describe('a request', () => {
  const posts = (name: string, status: number): Row => ({
    name,
    call: 'GET /api/posts/',
    headers: { authorization: `JWT {${name}}` },
    status,
    answer: status === 200 ? [] : { detail: 'Error decoding signature.' },
  });
  contract('is accepted by the time of its token', () => world, {}, [
    posts('withoutOrigIat', 200),
    posts('withZeroOrigIat', 200),
    posts('atChange', 200),
    posts('changedWithoutOrigIat', 401),
    posts('beforeChange', 401),
  ]);
});

describe('lives by configuration', () => {
  const post = async (url: string, path: string, json: unknown) => {
    const headers = { 'content-type': 'application/json' };
    const { status, text } = await send(url, { method: 'POST', path, headers, body: JSON.stringify(json) });
    return { status, body: JSON.parse(text) };
  };
  const login = { username: 'ann', password: PASSWORD };

  it('should end a token after ACCESS_TOKEN_LIFE_S', async () => {
    const brief = await startApp({ ACCESS_TOKEN_LIFE_S: '60' });
    await brief.signUp('ann');
    const { token } = (await post(brief.url, '/auth/obtain_token/', login)).body;
    await afterSeconds(50, async () => {
      expect(await post(brief.url, '/auth/verify_token/', { token })).toEqual({ status: 200, body: { token } });
    });
    await afterSeconds(61, async () => {
      const expired = { status: 400, body: { non_field_errors: ['Signature has expired.'] } };
      expect(await post(brief.url, '/auth/verify_token/', { token })).toEqual(expired);
      expect(await post(brief.url, '/auth/refresh_token/', { token })).toEqual(expired);
    });
    await brief.close();
  });

  it('should refresh no longer than REFRESH_TOKEN_LIFE_S after signing in, and let the token live on', async () => {
    const brief = await startApp({ REFRESH_TOKEN_LIFE_S: '60' });
    await brief.signUp('ann');
    const { token } = (await post(brief.url, '/auth/obtain_token/', login)).body;
    expect((await post(brief.url, '/auth/refresh_token/', { token })).status).toBe(200);
    const over = { status: 400, body: { non_field_errors: ['Refresh has expired.'] } };
    await afterSeconds(61, async () => {
      expect(await post(brief.url, '/auth/refresh_token/', { token })).toEqual(over);
      expect(await post(brief.url, '/auth/verify_token/', { token })).toEqual({ status: 200, body: { token } });
      // Signing in anew is no reason for the first token to end before its time.
      expect((await post(brief.url, '/auth/obtain_token/', login)).status).toBe(200);
      expect(await post(brief.url, '/auth/refresh_token/', { token })).toEqual(over);
      expect(await post(brief.url, '/auth/verify_token/', { token })).toEqual({ status: 200, body: { token } });
    });
    await brief.close();
  });
});
