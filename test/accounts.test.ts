import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { usernameKey } from '../src/identity/usernames.ts';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';

const PASSWORD = 'a good long password';
const PRIVATE = 'email isStaff isActive createdAt';
const ERRORS = '... on Error { message } ... on ValidationError { fields { path message } }';
const REFUSED = '... on Error { message }';
const SIGN_UP = `mutation ($input: SignUpInput!) {
  signUp(input: $input) { __typename ... on User { id username firstName lastName } ${ERRORS} }
}`;
const OBTAIN = `mutation ($input: LoginInput!) {
  obtainToken(input: $input) { __typename ... on TokenPair { token refreshToken user { ${PRIVATE} } } ${REFUSED} }
}`;
const CREATE_KEY = `mutation ($input: LoginInput!) {
  createAuthToken(input: $input) { __typename ... on AuthTokenKey { authToken } ${REFUSED} }
}`;
const REFRESH = `mutation ($refreshToken: String!) { refreshToken(refreshToken: $refreshToken) { __typename } }`;
const UPDATE = `mutation ($input: UpdateViewerInput!) {
  updateViewer(input: $input) { __typename ... on User { username email firstName lastName } ${ERRORS} }
}`;
const DEACTIVATE = `mutation ($currentPassword: String!) {
  deactivateViewer(currentPassword: $currentPassword) { __typename ... on User { username isActive } ${ERRORS} }
}`;
const READ_USER = `query ($username: String!) { user(username: $username) { username ${PRIVATE} } }`;
const ME = '{ viewer { username email firstName lastName } }';

const TOO_SHORT = 'This password is too short. It must contain at least 8 characters.';
const LIKE_USERNAME = 'The password is too similar to the username.';
const LIKE_EMAIL = 'The password is too similar to the email address.';
const TOO_COMMON = 'This password is too common.';
const NUMERIC = 'This password is entirely numeric.';
const TOO_LONG = 'Ensure this field has no more than 128 characters.';
const BLANK = 'This field may not be blank.';
const TAKEN = 'A user with that username already exists.';
const BAD_NAME = 'Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.';
const NULL_CHARACTERS = 'Null characters are not allowed.';
const NO_STRING = 'Not a valid string.';
const NO_EMAIL = 'Enter a valid email address.';
const atMost = (max: number): string => `Ensure this field has no more than ${max} characters.`;

let app: TestApp;
let ann: Person;
let ben: Person;
let staff: Person;

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  ben = await app.signUp('ben');
  staff = await app.signUpStaff('sue');
});
afterAll(() => app.close());

const signUp = async (input: Record<string, unknown>) =>
  (await app.anonymous.gql(SIGN_UP, { input: { password: PASSWORD, ...input } })).signUp;
const problemsOf = async (input: Record<string, unknown>): Promise<unknown> => (await signUp(input)).fields;
const obtain = async (username: string, password = PASSWORD) =>
  (await app.anonymous.gql(OBTAIN, { input: { username, password } })).obtainToken;

describe('signing up', () => {
  it('should make an account that can sign in', async () => {
    const made = await signUp({ username: ' dora ', firstName: ' Dora ', lastName: 'Lindström' });
    expect(made).toEqual({
      __typename: 'User',
      id: expect.any(String),
      username: 'dora',
      firstName: 'Dora',
      lastName: 'Lindström',
    });
    expect(await obtain('dora')).toMatchObject({ __typename: 'TokenPair' });
  });

  it('should need no more than a name and a password', async () => {
    expect(await signUp({ username: 'emil' })).toMatchObject({ username: 'emil', firstName: '', lastName: '' });
    const emil = await app.anonymous.signIn('emil', PASSWORD);
    expect((await emil.gql(ME)).viewer).toMatchObject({ email: '' });
  });

  it('should take letters, digits and @.+-_ of any script', async () => {
    for (const username of ['Zoë@home.org', 'a+b-c_d', 'Ольга', '山田太郎', 'नेहा', '١٢٣']) {
      expect(await signUp({ username })).toMatchObject({ __typename: 'User', username });
    }
  });

  it.each(['two words', 'semi;colon', 'tab\there', 'a/b', 'emoji🍏', '<b>', 'a\u200bb', "o'neil", '\u00b4x'])(
    'should refuse the name %j',
    async (username) => {
      expect(await problemsOf({ username })).toEqual([{ path: 'username', message: BAD_NAME }]);
    },
  );

  it('should store the name in NFKC', async () => {
    expect(await signUp({ username: 'ﬁｌｉｐ' })).toMatchObject({ username: 'filip' });
    expect(await signUp({ username: 'Rene\u0301' })).toMatchObject({ username: 'Ren\u00e9' });
  });

  it.each([
    ['another case', 'Gustav', 'gUSTAV'],
    ['another spelling of the same text', 'helen\u00e9', 'Helene\u0301'],
    ['full-width letters', 'ivan', 'ＩＶＡＮ'],
    ['another case in a script other than Latin', 'ольга2', 'ОЛЬГА2'],
    ['a capital of two letters', 'straße', 'STRASSE'],
    ['a capital sharp s', 'weißer', 'WEIẞER'],
    ['a final sigma', 'ΝΊΚΟΣ', 'νίκος'],
    ['white space around it', 'jana', ' jana\n'],
  ])('should refuse a name that is taken in %s', async (_how, first, second) => {
    expect(await signUp({ username: first })).toMatchObject({ __typename: 'User' });
    expect(await problemsOf({ username: second })).toEqual([{ path: 'username', message: TAKEN }]);
  });

  it('should let one of two win that ask for a name at the same moment', async () => {
    for (const [first, second] of [
      ['kim', 'kim'],
      ['Lea', 'lea'],
      ['Mia', 'ＭＩＡ'],
    ]) {
      const answers = await Promise.all([signUp({ username: first }), signUp({ username: second })]);
      expect(answers.map(({ __typename }) => __typename).toSorted()).toEqual(['User', 'ValidationError']);
      const refused = answers.find(({ __typename }) => __typename === 'ValidationError');
      expect(refused.fields).toEqual([{ path: 'username', message: TAKEN }]);
    }
  });

  it('should name every field that breaks its limit', async () => {
    const tooLong = 'x'.repeat(151);
    const email = `${'x'.repeat(243)}@example.org`;
    expect(email).toHaveLength(255);
    const names = { firstName: tooLong, lastName: tooLong };
    expect(await problemsOf({ username: tooLong, password: '', email, ...names })).toEqual([
      { path: 'username', message: atMost(150) },
      { path: 'password', message: BLANK },
      { path: 'email', message: atMost(254) },
      { path: 'firstName', message: atMost(150) },
      { path: 'lastName', message: atMost(150) },
    ]);
    expect(await problemsOf({ username: '  ' })).toEqual([{ path: 'username', message: BLANK }]);
    expect(await problemsOf({ username: 'nul\0', firstName: 'nul\0' })).toEqual([
      { path: 'username', message: NULL_CHARACTERS },
      { path: 'firstName', message: NULL_CHARACTERS },
    ]);
    expect(await problemsOf({ username: 'half\ud83c', lastName: '\udf4f' })).toEqual([
      { path: 'username', message: NO_STRING },
      { path: 'lastName', message: NO_STRING },
    ]);
  });

  it('should take every field at its limit, counted in characters', async () => {
    const username = '𠮷'.repeat(150);
    const firstName = '🍏'.repeat(150);
    expect(await signUp({ username, firstName, lastName: firstName })).toMatchObject({ username, firstName });
    expect(await problemsOf({ username: `${username}𠮷` })).toEqual([{ path: 'username', message: atMost(150) }]);
  });

  it('should count the characters of the name as it is stored', async () => {
    expect(await signUp({ username: 'ﬃ'.repeat(50) })).toMatchObject({ username: 'ffi'.repeat(50) });
    expect(await problemsOf({ username: 'ﬃ'.repeat(51) })).toEqual([{ path: 'username', message: atMost(150) }]);
  });

  it('should keep the email address, its domain in lower case, and not ask for it to be unique', async () => {
    for (const username of ['nora', 'otto']) {
      await signUp({ username, email: ' No.Ra+1@Mail.EXAMPLE.org ' });
      const person = await app.anonymous.signIn(username, PASSWORD);
      expect((await person.gql(ME)).viewer.email).toBe('No.Ra+1@mail.example.org');
    }
  });

  it.each(['nobody', '@example.org', 'a@', 'a b@example.org', 'a@b@example.org', 'a@-.org'])(
    'should refuse %j as an email address',
    async (email) => {
      expect(await problemsOf({ username: 'paul', email })).toEqual([{ path: 'email', message: NO_EMAIL }]);
    },
  );
});

describe('choosing a password', () => {
  it.each([
    ['quilt', 'xk7#m2q', '', [TOO_SHORT]],
    ['quilt', 'dragon123', '', [TOO_COMMON]],
    ['quilt', 'PassWord', '', [TOO_COMMON]],
    ['quilt', '7301946285', '', [NUMERIC]],
    ['quilt', '730194', '', [TOO_SHORT, NUMERIC]],
    ['quilt', '12345678', '', [TOO_COMMON, NUMERIC]],
    ['danielle', 'danielle', '', [LIKE_USERNAME, TOO_COMMON]],
    ['rosamunde', 'RosaMunde1', '', [LIKE_USERNAME]],
    ['rosamunde', 'edenmusaro', '', [LIKE_USERNAME]],
    ['1234567', '1234567', '', [TOO_SHORT, LIKE_USERNAME, NUMERIC]],
    ['12345678', '12345678', '', [LIKE_USERNAME, TOO_COMMON, NUMERIC]],
    ['quilt', 'rosamunde1', 'rosamunde@example.org', [LIKE_EMAIL]],
    ['quilt', '87654321', '87654321@example.org', [LIKE_EMAIL, TOO_COMMON, NUMERIC]],
    ['rosamunde', 'rosamunde1', 'rosamunde@example.org', [LIKE_USERNAME]],
    ['quilt', 'x'.repeat(129), '', [TOO_LONG]],
    ['quilt', '🍏🍎🍐🍊', '', [TOO_SHORT]],
    ['quilt', '', '', [BLANK]],
  ])('should name all that is wrong, in order: %.20s, %.20s, %s', async (username, password, email, sentences) => {
    expect(await problemsOf({ username, password, email })).toEqual(
      sentences.map((message) => ({ path: 'password', message })),
    );
  });

  it.each([
    ['what the documents use', 'mypassword'],
    ['eight characters', '8 chars.'],
    ['128 letters', 'x'.repeat(128)],
    ['128 characters of two units each', '🍏'.repeat(128)],
    ['white space around it', ' spaces count '],
  ])('should take %s, and distinguish it from a longer one', async (label, password) => {
    const username = `taker-of-${label.replaceAll(' ', '-')}`;
    expect(await signUp({ username, password })).toMatchObject({ __typename: 'User' });
    expect(await obtain(username, password)).toMatchObject({ __typename: 'TokenPair' });
    expect(await obtain(username, `${password} `)).toMatchObject({ __typename: 'CredentialsError' });
  });

  it('should refuse text that no client can send twice the same way', async () => {
    const nul = await problemsOf({ username: 'ruth', password: 'a good \0 password' });
    expect(nul).toEqual([{ path: 'password', message: NULL_CHARACTERS }]);
    const half = await problemsOf({ username: 'ruth', password: 'a good \ud83c password' });
    expect(half).toEqual([{ path: 'password', message: NO_STRING }]);
  });
});

describe('the key of a username', () => {
  it('should be one for a letter in all its cases', () => {
    const apart: string[] = [];
    for (let code = 0; code <= 0x10_ff_ff; code += 1) {
      const letter = code >= 0xd8_00 && code <= 0xdf_ff ? '' : String.fromCodePoint(code);
      const keys = new Set([letter, letter.toLowerCase(), letter.toUpperCase()].map(usernameKey));
      if (/^[\p{L}\p{N}\p{M}]/u.test(letter) && keys.size > 1) {
        apart.push(`U+${code.toString(16)} ${letter}`);
      }
    }
    expect(apart).toEqual([]);
  });
});

describe('updating oneself', () => {
  it('should change what is given and leave the rest', async () => {
    const kai = await app.signUp('kai');
    const first = { email: 'Kai@Example.ORG', firstName: ' Kai ', lastName: 'Ahn' };
    const changed = { username: 'kai', email: 'Kai@example.org', firstName: 'Kai', lastName: 'Ahn' };
    expect((await kai.gql(UPDATE, { input: first })).updateViewer).toEqual({ __typename: 'User', ...changed });
    await kai.gql(UPDATE, { input: { lastName: '' } });
    await kai.gql(UPDATE, { input: {} });
    expect((await kai.gql(ME)).viewer).toEqual({ ...changed, lastName: '' });
  });

  it('should refuse what breaks a limit, and change nothing', async () => {
    const { updateViewer } = await ann.gql(UPDATE, {
      input: { email: 'nobody', firstName: 'x'.repeat(151), lastName: null },
    });
    expect(updateViewer.__typename).toBe('ValidationError');
    expect(updateViewer.fields).toEqual([
      { path: 'email', message: NO_EMAIL },
      { path: 'firstName', message: atMost(150) },
      { path: 'lastName', message: 'This field may not be null.' },
    ]);
    expect((await ann.gql(ME)).viewer).toEqual({ username: 'ann', email: '', firstName: '', lastName: '' });
  });

  it('should need a credential', async () => {
    expect(await app.anonymous.codeOf(UPDATE, { input: { firstName: 'Nobody' } })).toBe('UNAUTHENTICATED');
  });
});

describe('knowing others', () => {
  const hidden = { email: null, isStaff: null, isActive: null, createdAt: null };
  const shown = { email: 'pia@example.org', isStaff: false, isActive: true, createdAt: expect.any(String) };

  it('should show private fields to oneself and staff only', async () => {
    await signUp({ username: 'pia', email: 'pia@example.org' });
    const pia = await app.anonymous.signIn('pia', PASSWORD);
    const read = async (person: Person) => (await person.gql(READ_USER, { username: 'PIA' })).user;
    expect(await read(pia)).toEqual({ username: 'pia', ...shown });
    expect(await read(staff)).toEqual({ username: 'pia', ...shown });
    expect(await read(ben)).toEqual({ username: 'pia', ...hidden });
    expect((await pia.gql(READ_USER, { username: 'sue' })).user).toEqual({ username: 'sue', ...hidden });
  });

  it('should not show private fields in the answer of a sign-in without the token', async () => {
    expect((await obtain('ben')).user).toEqual(hidden);
  });

  it('should show users to signed-in users only', async () => {
    expect(await app.anonymous.codeOf(READ_USER, { username: 'ann' })).toBe('UNAUTHENTICATED');
    expect((await ben.gql(READ_USER, { username: 'nobody-of-this-name' })).user).toBeNull();
    expect((await app.anonymous.gql(ME)).viewer).toBeNull();
    expect((await ann.gql(ME)).viewer).toMatchObject({ username: 'ann' });
  });
});

describe('deactivating oneself', () => {
  it('should need the password', async () => {
    const { deactivateViewer } = await ben.gql(DEACTIVATE, { currentPassword: 'not the password' });
    expect(deactivateViewer.fields).toEqual([{ path: 'currentPassword', message: 'Invalid password.' }]);
    expect((await ben.gql(ME)).viewer).toMatchObject({ username: 'ben' });
    expect(await app.anonymous.codeOf(DEACTIVATE, { currentPassword: PASSWORD })).toBe('UNAUTHENTICATED');
  });

  it('should stop every credential at once and give no new one', async () => {
    const tom = await app.signUp('tom');
    const { refreshToken } = await obtain('tom');
    const login = { input: { username: 'tom', password: PASSWORD } };
    const key = (await app.anonymous.gql(CREATE_KEY, login)).createAuthToken.authToken;
    const others = [app.anonymous.with(`Token ${key}`), await app.anonymous.signIn('tom', PASSWORD)];

    const { deactivateViewer } = await tom.gql(DEACTIVATE, { currentPassword: PASSWORD });
    expect(deactivateViewer).toEqual({ __typename: 'User', username: 'tom', isActive: false });
    for (const person of [tom, ...others]) {
      expect(await person.codeOf(ME)).toBe('UNAUTHENTICATED');
    }
    const refused = { __typename: 'CredentialsError', message: 'Unable to log in with provided credentials.' };
    expect(await obtain('tom')).toEqual(refused);
    expect((await app.anonymous.gql(CREATE_KEY, login)).createAuthToken).toEqual(refused);
    const renewed = await app.anonymous.gql(REFRESH, { refreshToken });
    expect(renewed.refreshToken).toEqual({ __typename: 'CredentialsError' });
    expect(await problemsOf({ username: 'TOM' })).toEqual([{ path: 'username', message: TAKEN }]);
    expect((await staff.gql(READ_USER, { username: 'tom' })).user).toMatchObject({ isActive: false });
  });
});

describe('staff', () => {
  it('should not be made through GraphQL but by staff', async () => {
    const { __schema } = await app.anonymous.gql('{ __schema { types { name inputFields { name } } } }');
    const inputs: { name: string; inputFields: { name: string }[] | null }[] = __schema.types;
    const naming = inputs.filter(({ inputFields }) => inputFields?.some(({ name }) => name === 'isStaff'));
    expect(naming.map(({ name }) => name).toSorted()).toEqual(['SetUserStatusInput', 'UserFilter']);
    const asked = await app.anonymous.ask(SIGN_UP, { input: { username: 'vera', password: PASSWORD, isStaff: true } });
    expect(asked.errors?.[0]?.message).toContain('isStaff');
    expect(await obtain('vera')).toMatchObject({ __typename: 'CredentialsError' });
  });

  it('should be made by the command, beside the running server, under the same rules', async () => {
    const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
    const command = (name: string, password: string) =>
      promisify(execFile)(process.execPath, [main, 'createsuperuser', name], {
        env: { ...app.databaseEnv, TIDINGS_PASSWORD: password, LOG_LEVEL: 'silent' },
      });
    await expect(command('walter', '12345678')).rejects.toMatchObject({ code: 1, stderr: /too common.*\n.*numeric/ });
    expect(await command('walter', PASSWORD)).toMatchObject({ stdout: 'Created the staff account walter.\n' });
    const walter = await app.anonymous.signIn('walter', PASSWORD);
    expect((await walter.gql(READ_USER, { username: 'walter' })).user).toMatchObject({ isStaff: true });
    await expect(command('WALTER', PASSWORD)).rejects.toMatchObject({ stderr: `username: ${TAKEN}\n` });
  });
});
