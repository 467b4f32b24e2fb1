import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import {
  contract,
  fresh,
  NO_NULS,
  NOT_BLANK,
  NOT_NULL,
  NOT_TEXT,
  PASSWORD,
  perform,
  REQUIRED,
  type Row,
  tooLong,
  type World,
} from './wire.ts';

const POST_ONLY = { allow: 'POST, OPTIONS', challenge: 'Token' };
const BAD_NAME = 'Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.';
const TAKEN = 'A user with that username already exists.';
const BAD_EMAIL = 'Enter a valid email address.';
const WRONG = { current_password: ['Invalid password.'] };
const SHORT = 'This password is too short. It must contain at least 8 characters.';
const LIKE_NAME = 'The password is too similar to the username.';
const LIKE_EMAIL = 'The password is too similar to the email address.';
const COMMON = 'This password is too common.';
const NUMERIC = 'This password is entirely numeric.';

let app: TestApp;
const world: World = {};

beforeAll(async () => {
  app = await startApp({ MAX_FAILED_SIGN_INS: '1000000' });
  Object.assign(world, { url: app.url });
  for (const username of ['ann', 'eve']) {
    world[username] = (await app.signUp(username)).authorization;
  }
  await app.sql('UPDATE "User" SET "isActive" = ? WHERE "username" = ?', false, 'eve');
  const [{ id } = { id: 0 }] = await app.sql('SELECT "id" FROM "User" WHERE "username" = ?', 'ann');
  world['annId'] = id;
});
afterAll(() => app.close());

const MIXED =
  'Enter a valid username. All its letters must be of one modern script: not Latin and Cyrillic together, for example.';

/** What comes back for a new account. */
const made = (username: string, email = ''): RegExp =>
  new RegExp(`^\\{"email":"${email}","username":"${username}","id":\\d+\\}$`);

describe('making an account', () => {
  const call = 'POST /auth/users/create/';
  const accepted = (name: string, fields: Record<string, unknown>, answer: RegExp): Row => ({
    name,
    call,
    json: { username: '{new}', password: PASSWORD, ...fields },
    status: 201,
    answer,
  });
  const refused = (name: string, fields: Record<string, unknown>, answer: unknown): Row => ({
    name,
    call,
    json: { username: '{new}', password: PASSWORD, ...fields },
    status: 400,
    answer,
  });

  contract('takes', () => world, POST_ONLY, [
    accepted('a name and a password', {}, made('new-[k-t]+-[k-t]+')),
    accepted('an email', { email: 'Ann@Example.COM' }, made('new-[k-t]+-[k-t]+', 'Ann@example\\.com')),
    accepted(
      'an email that somebody else has',
      { email: 'same@example.com' },
      made('new-[k-t]+-[k-t]+', 'same@example\\.com'),
    ),
    accepted('an empty email', { email: '' }, made('new-[k-t]+-[k-t]+')),
    accepted('more fields than it knows', { id: 1, is_staff: true, firstName: 7 }, made('new-[k-t]+-[k-t]+')),
    accepted('letters, digits and @.+-_', { username: 'A@.+-_9{new}' }, made('A@\\.\\+-_9new-[k-t]+-[k-t]+')),
    accepted('a name that NFKC makes shorter', { username: 'ﬁ①Ａé{new}' }, made('fi1Aénew-[k-t]+-[k-t]+')),
    accepted(
      'spaces around it',
      { username: ' {new} ', email: ' a@b.example ' },
      made('new-[k-t]+-[k-t]+', 'a@b\\.example'),
    ),
    accepted('the password that the documents use', { password: 'mypassword' }, made('new-[k-t]+-[k-t]+')),
    accepted('a password of 128 characters', { password: '🍏'.repeat(128) }, made('new-[k-t]+-[k-t]+')),
    {
      name: 'a form',
      call,
      form: `username={new}&password=mypassword`,
      status: 201,
      answer: made('new-[k-t]+-[k-t]+'),
    },
    {
      name: 'multipart',
      call,
      parts: [
        ['username', '{new}'],
        ['password', 'mypassword'],
      ],
      status: 201,
      answer: made('new-[k-t]+-[k-t]+'),
    },
    {
      name: 'the last of repeated fields',
      call,
      form: 'username=&username={new}&password=1&password=mypassword',
      status: 201,
      answer: made('new-[k-t]+-[k-t]+'),
    },
    {
      name: 'a number as a password’s text',
      call,
      json: { username: '{new}', password: 123456789.5 },
      status: 201,
      answer: made('new-[k-t]+-[k-t]+'),
    },
  ]);

  contract('refuses', () => world, POST_ONLY, [
    { name: 'nothing', call, status: 400, answer: { username: [REQUIRED], password: [REQUIRED] } },
    refused(
      'nulls',
      { username: null, password: null, email: null },
      { username: [NOT_NULL], password: [NOT_NULL], email: [NOT_NULL] },
    ),
    refused('empty fields', { username: ' ', password: '' }, { username: [NOT_BLANK], password: [NOT_BLANK] }),
    refused(
      'what is no text',
      { username: [1], password: {}, email: false },
      { username: [NOT_TEXT], password: [NOT_TEXT], email: [NOT_TEXT] },
    ),
    refused(
      'NULs',
      { username: 'a\0', password: 'long\0enough', email: 'a\0@b.example' },
      /"username":\["Null characters are not allowed\."\],"password":\["Null characters are not allowed\."\]/,
    ),
    refused('half a character in the name', { username: 'a\ud800' }, { username: [NOT_TEXT] }),
    refused('half a character in the password', { password: 'long enough\udc00' }, { password: [NOT_TEXT] }),
    refused('a name that is too long', { username: 'x'.repeat(151) }, { username: [tooLong(150)] }),
    refused('a name that NFKC makes too long', { username: 'ﬁ'.repeat(76) }, { username: [tooLong(150)] }),
    refused('a name with a space', { username: 'a b' }, { username: [BAD_NAME] }),
    refused('a name with another character', { username: 'a!' }, { username: [BAD_NAME] }),
    refused('a name with a control character', { username: 'a\u202eb' }, { username: [BAD_NAME] }),
    refused('a name of several scripts', { username: 'Даниил-太郎' }, { username: [MIXED] }),
    refused('a name that is taken', { username: 'ann' }, { username: [TAKEN] }),
    refused('a name that is taken in other letters', { username: 'ANN' }, { username: [TAKEN] }),
    refused('a name that is taken in NFKC', { username: 'ａｎｎ' }, { username: [TAKEN] }),
    refused('the name of a closed account', { username: 'Eve' }, { username: [TAKEN] }),
    refused('an email that is none', { email: 'nobody' }, { email: [BAD_EMAIL] }),
    refused(
      'an email that is too long',
      { email: `${'x'.repeat(250)}@b.example` },
      /^\{"email":\["Ensure this field has no more than 254 characters\."/,
    ),
    refused('a short password', { password: 'k3r&v' }, { password: [SHORT] }),
    refused('a password of digits', { password: '6047281950' }, { password: [NUMERIC] }),
    refused('a common password', { password: 'qwertyuiop' }, { password: [COMMON] }),
    refused('a common password in other letters', { password: 'QwertyUIOP' }, { password: [COMMON] }),
    refused('a password like the name', { username: 'margarete', password: 'margarete1' }, { password: [LIKE_NAME] }),
    refused(
      'a password like the email',
      { email: 'margarete@b.example', password: 'margarete1' },
      { password: [LIKE_EMAIL] },
    ),
    refused('a password that is short and numeric', { password: '6047281' }, { password: [SHORT, NUMERIC] }),
    refused('a password that is common and numeric', { password: '12345678' }, { password: [COMMON, NUMERIC] }),
    refused(
      'a password for all reasons but one',
      { username: '1234567', password: '1234567' },
      { password: [SHORT, LIKE_NAME, NUMERIC] },
    ),
    refused('a password that is too long', { password: 'x'.repeat(129) }, /^\{"password":\["[^"]+"\]\}$/),
    refused(
      'several fields at once',
      { username: 'x'.repeat(151), email: 'x', password: null },
      /^\{"username":\["Ensure[^\]]+\],"password":\[[^\]]+\],"email":\[[^\]]+\]\}$/,
    ),
  ]);

  it('should keep the limits of a name: 150 characters, whatever their size', async () => {
    const name = `${fresh()}${'é'.repeat(150)}`.slice(0, 150);
    const answer = await perform({ call, json: { username: name, password: PASSWORD } }, world);
    expect(JSON.parse(answer.text)).toMatchObject({ username: name, email: '' });
  });
});

describe('one’s own account', () => {
  const own = { allow: 'GET, PUT, PATCH, HEAD, OPTIONS', challenge: 'Token' };
  const body = (email: string) => ({ email, id: '{annId}', username: 'ann' });
  const change = (name: string, fields: Record<string, unknown>, status: number, answer: unknown): Row[] =>
    ['PUT', 'PATCH'].map((method) => ({
      name: `${name} (${method})`,
      call: `${method} /auth/me/`,
      as: 'ann',
      json: fields,
      status,
      answer,
    }));
  contract('answers', () => world, own, [
    {
      name: 'a reader',
      call: 'GET /auth/me/',
      as: 'ann',
      status: 200,
      answer: /^\{"email":"[^"]*","id":\d+,"username":"ann"\}$/,
    },
    { name: 'a reader of the headers only', call: 'HEAD /auth/me/', as: 'ann', status: 200 },
    ...change('a new email', { email: 'Ann@EXAMPLE.com' }, 200, body('Ann@example.com')),
    ...change('no email any more', { email: '' }, 200, body('')),
    ...change(
      'another name and id, which stay',
      { email: 'a@b.example', username: 'other', id: 7, is_staff: true },
      200,
      body('a@b.example'),
    ),
    ...change('no fields', {}, 200, /^\{"email":"[^"]*","id":\d+,"username":"ann"\}$/),
    ...change('a bad email', { email: 'x' }, 400, { email: [BAD_EMAIL] }),
    ...change('null', { email: null }, 400, { email: [NOT_NULL] }),
    ...change('no text', { email: ['a@b.example'] }, 400, { email: [NOT_TEXT] }),
  ]);

  contract('as the posts app asks for it', () => world, { allow: 'GET, HEAD, OPTIONS', challenge: 'JWT realm="api"' }, [
    {
      name: 'returns the caller',
      call: 'GET /api/account/',
      as: 'ann',
      status: 200,
      answer:
        /^\{"pk":\d+,"username":"ann","email":"[^"]*","is_staff":false,"is_superuser":false,"is_active":true,"avatar":null\}$/,
    },
  ]);

  it('should say of staff that they are', async () => {
    const { authorization } = await app.signUpStaff('sue');
    const { text } = await perform({ call: 'GET /api/account/', as: 'sue' }, { ...world, sue: authorization });
    expect(JSON.parse(text)).toMatchObject({ username: 'sue', is_staff: true, is_active: true });
  });
});

describe('what needs the password', () => {
  const change = (path: string, name: string, json: Record<string, unknown>, answer: unknown): Row => ({
    name,
    call: `POST /auth/${path}/`,
    as: 'ann',
    json,
    status: 400,
    answer,
  });
  contract('refuses a new name', () => world, POST_ONLY, [
    change('username', 'with a wrong password', { new_username: '{new}', current_password: 'wrong' }, WRONG),
    change('username', 'without fields', {}, { current_password: [REQUIRED], new_username: [REQUIRED] }),
    change('username', 'that is taken', { new_username: 'EVE', current_password: PASSWORD }, { new_username: [TAKEN] }),
    change(
      'username',
      'that is none',
      { new_username: 'a b', current_password: PASSWORD },
      { new_username: [BAD_NAME] },
    ),
    change(
      'username',
      'that is too long',
      { new_username: 'x'.repeat(151), current_password: PASSWORD },
      { new_username: [tooLong(150)] },
    ),
    change(
      'username',
      'that is null',
      { new_username: null, current_password: null },
      { current_password: [NOT_NULL], new_username: [NOT_NULL] },
    ),
    change(
      'username',
      'that is empty',
      { new_username: '', current_password: ' ' },
      { current_password: [NOT_BLANK], new_username: [NOT_BLANK] },
    ),
  ]);
  contract('refuses a new password', () => world, POST_ONLY, [
    change('password', 'with a wrong one', { new_password: '{new}', current_password: 'wrong' }, WRONG),
    change('password', 'without fields', {}, { current_password: [REQUIRED], new_password: [REQUIRED] }),
    change(
      'password',
      'that is weak',
      { new_password: '1234', current_password: PASSWORD },
      { new_password: [SHORT, NUMERIC] },
    ),
    change(
      'password',
      'with a NUL',
      { new_password: 'long enough\0', current_password: PASSWORD },
      { new_password: [NO_NULS] },
    ),
    change(
      'password',
      'that is no text',
      { new_password: true, current_password: [] },
      { current_password: [NOT_TEXT], new_password: [NOT_TEXT] },
    ),
  ]);
  contract('refuses to close the account', () => world, POST_ONLY, [
    change('users/delete', 'with a wrong password', { current_password: 'wrong' }, WRONG),
    change('users/delete', 'without a password', {}, { current_password: [REQUIRED] }),
    change('users/delete', 'with an empty password', { current_password: '' }, { current_password: [NOT_BLANK] }),
  ]);

  /** Somebody new, with their key. */
  async function somebody() {
    const username = fresh();
    const login = { username, password: PASSWORD };
    await perform({ call: 'POST /auth/users/create/', json: login }, world);
    const { auth_token } = JSON.parse((await perform({ call: 'POST /auth/token/create/', json: login }, world)).text);
    const headers = { authorization: `Token ${auth_token}` };
    return {
      username,
      post: (path: string, form: Record<string, string>) =>
        perform({ call: `POST /auth/${path}/`, headers, form: new URLSearchParams(form).toString() }, world),
      me: async () => JSON.parse((await perform({ call: 'GET /auth/me/', headers }, world)).text),
    };
  }
  const signIn = async (username: string, password: string): Promise<number> =>
    (await perform({ call: 'POST /auth/obtain_token/', json: { username, password } }, world)).status;
  const done = { status: 204, text: '' };

  it('should change the name', async () => {
    const { username, post, me } = await somebody();
    expect(await post('username', { new_username: `${username}-ＮＥＷ`, current_password: PASSWORD })).toMatchObject(
      done,
    );
    expect(await me()).toMatchObject({ username: `${username}-NEW` });
    expect([await signIn(username, PASSWORD), await signIn(`${username}-new`, PASSWORD)]).toEqual([400, 200]);
  });

  it('should change the password', async () => {
    const { username, post, me } = await somebody();
    expect(await post('password', { new_password: 'another long one', current_password: PASSWORD })).toMatchObject(
      done,
    );
    expect(await me()).toEqual({ detail: 'Invalid token.' });
    expect([await signIn(username, PASSWORD), await signIn(username, 'another long one')]).toEqual([400, 200]);
  });

  it('should close the account', async () => {
    const { username, post, me } = await somebody();
    expect(await post('users/delete', { current_password: PASSWORD })).toMatchObject(done);
    expect(await me()).toHaveProperty('detail');
    expect(await signIn(username, PASSWORD)).toBe(400);
    const [row] = await app.sql('SELECT "isActive" FROM "User" WHERE "username" = ?', username);
    expect(Boolean(row?.['isActive'])).toBe(false);
  });

  it('should end a key by which its holder signs out, whatever the body says', async () => {
    const { username, post, me } = await somebody();
    expect(await post('token/destroy', { x: 'y' })).toMatchObject(done);
    expect(await me()).toEqual({ detail: 'Invalid token.' });
    expect(await signIn(username, PASSWORD)).toBe(200);
  });
});
