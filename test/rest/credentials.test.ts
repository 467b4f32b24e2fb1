import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { BAD_TOKENS, claims, mint, nowInSeconds, SECRET_KEY, type Subject } from './tokens.ts';
import { contract, indented, NO_CREDENTIALS, PASSWORD, perform, type Row, type World } from './wire.ts';

const JWT_CHALLENGE = 'JWT realm="api"';
const POSTS = { allow: 'GET, HEAD, OPTIONS', challenge: JWT_CHALLENGE };
const CHATS = { allow: 'POST, PATCH, OPTIONS', challenge: 'Token' };
const NOTES = { write: indented };
const OWN = { allow: 'GET, PUT, PATCH, HEAD, OPTIONS', challenge: 'Token' };

let app: TestApp;
let ann: Subject;
let eve: Subject;
const world: World = {};

const tokenOf = async (username: string): Promise<string> =>
  JSON.parse((await perform({ call: 'POST /auth/obtain_token/', json: { username, password: PASSWORD } }, world)).text)
    .token;
const keyOf = async (username: string): Promise<string> =>
  JSON.parse((await perform({ call: 'POST /auth/token/create/', json: { username, password: PASSWORD } }, world)).text)
    .auth_token;

beforeAll(async () => {
  app = await startApp({ SECRET_KEY });
  await app.signUp('ann');
  await app.signUp('eve');
  const [annRow, eveRow] = await app.sql('SELECT "id", "username" FROM "User" ORDER BY "id"');
  ann = annRow as Subject;
  eve = eveRow as Subject;
  Object.assign(world, { url: app.url });
  const [jwt, key, closedKey] = [await tokenOf('ann'), await keyOf('ann'), await keyOf('eve')];
  await app.sql('UPDATE "User" SET "isActive" = ? WHERE "username" = ?', false, 'eve');
  const { id } = (await app.anonymous.gql('mutation { createTodo(input: { title: "x" }) { ... on Todo { id } } }'))
    .createTodo;
  Object.assign(world, { jwt, key, closedKey, closedJwt: mint(claims(eve)), minted: mint(claims(ann)), todo: id });
  for (const { name, make } of BAD_TOKENS) {
    world[`JWT ${name}`] = `JWT ${make(ann)}`;
  }
});
afterAll(() => app.close());

const withHeader = (authorization: string): Pick<Row, 'headers'> => ({ headers: { authorization } });

describe('a credential', () => {
  contract('on posts', () => world, POSTS, [
    ...['JWT', 'jwt', 'Jwt', 'Bearer', 'bearer', 'BEARER'].map(
      (scheme): Row => ({
        name: `may be a token with ${scheme} in front`,
        call: 'GET /api/posts/',
        ...withHeader(`${scheme} {jwt}`),
        status: 200,
        answer: [],
      }),
    ),
    ...['Token', 'token', 'TOKEN', 'Bearer', 'bEARER'].map(
      (scheme): Row => ({
        name: `may be a key with ${scheme} in front`,
        call: 'GET /api/posts/',
        ...withHeader(`${scheme} {key}`),
        status: 200,
        answer: [],
      }),
    ),
    {
      name: 'may be a token that was minted elsewhere with the same secret',
      call: 'GET /api/posts/',
      ...withHeader('JWT {minted}'),
      status: 200,
      answer: [],
    },
    {
      name: 'may stand apart by a tab or several spaces',
      call: 'GET /api/posts/',
      ...withHeader('JWT \t {jwt}'),
      status: 200,
      answer: [],
    },
  ]);

  const absent: readonly (readonly [string, Pick<Row, 'headers'>])[] = [
    ['is missing', {}],
    ['is empty', withHeader('')],
    ['is of an unknown scheme', withHeader('Basic YW5uOnB3')],
    ['has no scheme', withHeader('{jwt}')],
  ];
  const none = (call: string): Row[] =>
    absent.map(([what, headers]) => ({
      name: `${what} on ${call}`,
      call,
      ...headers,
      status: 401,
      answer: NO_CREDENTIALS,
    }));
  contract('that is none on posts', () => world, POSTS, none('GET /api/posts/'));
  contract('that is none on a post', () => world, POSTS, none('GET /api/posts/1/'));
  contract('that is none on chats', () => world, CHATS, none('POST /api/chats/'));
  contract('that is none on one’s own account', () => world, OWN, none('GET /auth/me/'));
  contract('that is none on the account of the posts app', () => world, POSTS, none('GET /api/account/'));
  for (const path of ['token/destroy', 'username', 'password', 'users/delete']) {
    contract(
      `that is none on ${path}`,
      () => world,
      { allow: 'POST, OPTIONS', challenge: 'Token' },
      none(`POST /auth/${path}/`),
    );
  }
});

/** Every header that is refused, and why. */
const REFUSED: readonly (readonly [string, Pick<Row, 'headers' | 'as'>, string])[] = [
  ...BAD_TOKENS.map(({ name, refused }) => [`a token ${name}`, { as: `JWT ${name}` }, refused] as const),
  ['a token of a closed account', withHeader('JWT {closedJwt}'), 'User account is disabled.'],
  ['a bearer’s token of a closed account', withHeader('Bearer {closedJwt}'), 'User account is disabled.'],
  ['a key in place of a token', withHeader('JWT {key}'), 'Error decoding signature.'],
  ['JWT alone', withHeader('JWT'), 'Invalid Authorization header. No credentials provided.'],
  ['JWT and spaces', withHeader('JWT  '), 'Invalid Authorization header. No credentials provided.'],
  ['bearer alone', withHeader('bearer'), 'Invalid Authorization header. No credentials provided.'],
  [
    'JWT and two words',
    withHeader('JWT {jwt} {jwt}'),
    'Invalid Authorization header. Credentials string should not contain spaces.',
  ],
  ['an unknown key', withHeader(`Token ${'0'.repeat(40)}`), 'Invalid token.'],
  ['an unknown key as a bearer’s', withHeader(`Bearer ${'0'.repeat(40)}`), 'Invalid token.'],
  ['a token in place of a key', withHeader('Token {jwt}'), 'Invalid token.'],
  ['the key of a closed account', withHeader('Token {closedKey}'), 'User inactive or deleted.'],
  ['Token alone', withHeader('Token'), 'Invalid token header. No credentials provided.'],
  ['Token and two words', withHeader('Token {key} x'), 'Invalid token header. Token string should not contain spaces.'],
  [
    'a key that is not ASCII',
    withHeader('Token clé'),
    'Invalid token header. Token string should not contain invalid characters.',
  ],
  [
    'a key that is not ASCII, of the right length',
    withHeader(`Token ${'é'.repeat(40)}`),
    'Invalid token header. Token string should not contain invalid characters.',
  ],
];

describe('a credential that is refused', () => {
  const refusedOn = (call: string): Row[] =>
    REFUSED.map(([name, how, detail]) => ({ name, call, ...how, status: 401, answer: { detail } }));
  contract('on posts', () => world, POSTS, refusedOn('GET /api/posts/'));
  contract('on chats', () => world, CHATS, refusedOn('POST /api/chats/'));
  contract('on one’s own account', () => world, OWN, refusedOn('GET /auth/me/'));

  const onlyOn = (call: string): Row[] => refusedOn(call).filter((_, index) => index % 5 === 0);
  contract('on a todo, which is open to all', () => world, {}, onlyOn('PATCH /api/todos/{todo}/'));
  contract('on notes, which are open to all', () => world, NOTES, onlyOn('GET /notes'));
  contract('on a note, which is open to all', () => world, NOTES, onlyOn('GET /notes/1'));
  const open = { allow: 'POST, OPTIONS', challenge: 'Token' };
  contract('where anybody signs up', () => world, open, onlyOn('POST /auth/users/create/'));
  contract('where anybody gets a key', () => world, open, onlyOn('POST /auth/token/create/'));
});

describe('the JWT paths', () => {
  const bare = { allow: 'POST, OPTIONS' };
  contract('take no notice of a credential', () => world, bare, [
    ...REFUSED.map(
      ([name, how]): Row => ({
        name: `to verify a token under ${name}`,
        call: 'POST /auth/verify_token/',
        ...how,
        json: { token: '{jwt}' },
        status: 200,
        answer: { token: '{jwt}' },
      }),
    ),
    ...['obtain_token', 'refresh_token', 'verify_token'].map(
      (path): Row => ({
        name: `on ${path} with fields that are refused`,
        call: `POST /auth/${path}/`,
        ...withHeader('JWT garbage'),
        json: { username: 'ann', password: 'wrong', token: 'x' },
        status: 400,
        answer: /^\{"non_field_errors":\["[^"]+"\]\}$/,
      }),
    ),
  ]);
});

describe('a credential that has ended', () => {
  const fate = async (authorization: string) => {
    const { status, text } = await perform({ call: 'GET /auth/me/', headers: { authorization } }, world);
    return status === 200 ? 'good' : JSON.parse(text).detail;
  };
  const post = (path: string, authorization: string, json: unknown = {}) =>
    perform({ call: `POST /auth/${path}/`, headers: { authorization }, json }, world);

  it('should be refused after signing out with it, and no other', async () => {
    await app.signUp('ben');
    const [first, second, key] = [await tokenOf('ben'), await tokenOf('ben'), await keyOf('ben')];
    expect(await post('token/destroy', `JWT ${first}`)).toMatchObject({ status: 204, text: '' });
    expect(await fate(`JWT ${first}`)).toBe('Error decoding signature.');
    expect(await fate(`JWT ${second}`)).toBe('good');
    expect(await post('token/destroy', `Token ${key}`)).toMatchObject({ status: 204, text: '' });
    expect(await fate(`Token ${key}`)).toBe('Invalid token.');
    expect(await fate(`JWT ${second}`)).toBe('good');
  });

  it('should be refused after a change of the password, whatever it was', async () => {
    await app.signUp('cat');
    const [{ id } = { id: 0 }] = await app.sql('SELECT "id" FROM "User" WHERE "username" = ?', 'cat');
    const [token, key] = [await tokenOf('cat'), await keyOf('cat')];
    const minted = mint(claims({ id, username: 'cat' }, { orig_iat: nowInSeconds() - 2 }));
    const passwords = { current_password: PASSWORD, new_password: 'another long password' };
    expect(await post('password', `Token ${key}`, passwords)).toMatchObject({ status: 204, text: '' });
    expect(await fate(`JWT ${token}`)).toBe('Error decoding signature.');
    expect(await fate(`Token ${key}`)).toBe('Invalid token.');
    expect(await fate(`JWT ${minted}`)).toBe('Error decoding signature.');
  });

  it('should be refused after the account was closed', async () => {
    await app.signUp('dan');
    const [{ id } = { id: 0 }] = await app.sql('SELECT "id" FROM "User" WHERE "username" = ?', 'dan');
    const [token, key] = [await tokenOf('dan'), await keyOf('dan')];
    const minted = mint(claims({ id, username: 'dan' }));
    expect(await fate(`JWT ${minted}`)).toBe('good');
    expect(await post('users/delete', `JWT ${token}`, { current_password: PASSWORD })).toMatchObject({ status: 204 });
    expect(await fate(`JWT ${minted}`)).toBe('User account is disabled.');
    expect(await fate(`JWT ${token}`)).not.toBe('good');
    expect(await fate(`Token ${key}`)).not.toBe('good');
  });
});

it('should refuse the token of a user who is inactive, and accept it when they are active again', async () => {
  const fay = (await app.signUp('fay')).authorization;
  const read = async () => {
    const { status, text } = await perform({ call: 'GET /api/posts/', as: 'fay' }, { ...world, fay });
    return [status, JSON.parse(text)];
  };
  await app.sql('UPDATE "User" SET "isActive" = ? WHERE "username" = ?', false, 'fay');
  expect(await read()).toEqual([401, { detail: 'User account is disabled.' }]);
  await app.sql('UPDATE "User" SET "isActive" = ? WHERE "username" = ?', true, 'fay');
  expect(await read()).toEqual([200, []]);
});
