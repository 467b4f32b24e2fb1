import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { runCommand } from './kit/process.ts';

const PASSWORD = 'a good long password';
const SIGN_UP = `mutation ($username: String!) {
  signUp(input: { username: $username, password: "${PASSWORD}" }) {
    ... on User { username } ... on ValidationError { fields { path message } }
  }
}`;
const BEGINNING = 'Enter a valid username. ';
const BAD_NAME = `${BEGINNING}This value may contain only letters, numbers, and @/./+/-/_ characters.`;
const UNSEEN = `${BEGINNING}This value may not contain characters or accents that cannot be seen.`;
const MIXED = `${BEGINNING}All its letters must be of one modern script: not Latin and Cyrillic together, for example.`;

const ACCEPTED = [
  ...['Zoë@home.org', 'a+b-c_d', 'Nguyễn', 'ann1', '2ann', '123', '@.+-_', 'Œuvre', 'x\u0323\u0302'],
  ...['Ольга_1', 'Ελένη', 'Հայկ', 'გიორგი', 'שלום', 'שָׁלוֹם', 'محمد', '١٢٣', 'شهاب۴', 'ሰላም', 'ᏣᎳᎩ', 'ⵣⵉⵔⵉ'],
  ...['नेहा', 'ক্ষমা', 'ਸਿੰਘ', 'மீரா', 'లక్ష్మి', 'සිංහල', 'ทดสอบ', 'สมชาย', 'ລາວ', 'ကြယ်', 'ក្រុម', 'བོད'],
  ...['山田太郎', 'ひらカナ漢字ー', 'ﾔﾏﾀﾞ', '김철수', '김金', 'ㄅㄆ漢'],
];
const REFUSED: readonly (readonly [name: string, message: string])[] = [
  // Cyrillic, Greek, Cherokee, Armenian, Lisu and Hangul letters among Latin ones.
  ...['p\u0430ypal', 'ann\u0430', '\u039fscar', 'a\u03b1', '\u13aaa', 'o\u0585', 'b\ua4d0', 'l\u1175'].map(
    (name) => [name, MIXED] as const,
  ),
  // Marks and digits of one script on letters of another, letters of Chinese among Latin ones, and a historic script.
  ...['a\u0661', 'k\u093c', 'a\u0483', 'Tom山田', 'エa', '\u{10330}'].map((name) => [name, MIXED] as const),
  // Bidirectional and other format characters are not letters at all.
  ...['a\u202eb', 'a\u200fb', 'a\u2066b', 'a\u200bb', 'a\u200db', 'a\u00adb', 'a\ufeffb', 'a\u{e0041}b'].map(
    (name) => [name, BAD_NAME] as const,
  ),
  // Letters and marks that are not shown: Hangul fillers, a joiner of graphemes, selectors of variants, inherent vowels.
  ...['a\u115fb', 'a\u3164b', 'a\uffa0', 'a\u034fb', 'a\ufe0f', 'a\u{e0100}', 'ក\u17b4', 'ᠠ\u180b'].map(
    (name) => [name, UNSEEN] as const,
  ),
  // Marks that stand on nothing, or one on another where they look like fewer.
  ...[
    '\u0301a',
    'a.\u0323b',
    '1\u0323',
    'x\u0301\u0301',
    'i\u0307',
    'j\u0323\u0307',
    'x\u0301\u0302\u0303\u0304\u0306',
  ].map((name) => [name, UNSEEN] as const),
];

let app: TestApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.close());

const signUp = async (username: string) => (await app.anonymous.gql(SIGN_UP, { username })).signUp;

describe('a new username', () => {
  it.each(ACCEPTED)('may be of one script: %s', async (name) => {
    expect(await signUp(name)).toEqual({ username: name.normalize('NFKC') });
    expect((await app.anonymous.signIn(name, PASSWORD)).username).toBe(name);
  });

  it.each(REFUSED.map(([name, message]) => [JSON.stringify(name), name, message] as const))(
    'may not look like another one: %s',
    async (_shown, name, message) => {
      expect(await signUp(name)).toEqual({ fields: [{ path: 'username', message }] });
    },
  );

  it('should be checked by the REST paths and on the command line as well', async () => {
    const created = await app.anonymous.fetch('/auth/users/create/', {
      method: 'POST',
      body: new URLSearchParams({ username: 'p\u0430ypal', password: PASSWORD }),
    });
    expect([created.status, await created.json()]).toEqual([400, { username: [MIXED] }]);
    const env = { ...app.databaseEnv, TIDINGS_PASSWORD: PASSWORD };
    const { code, output } = await runCommand(['createsuperuser', 'p\u0430ypal'], env);
    expect([code, output]).toEqual([1, expect.stringContaining(MIXED)]);
  });
});

describe('a username that was given before', () => {
  it('should go on signing in, and be changed to a new one only', async () => {
    const ann = await app.signUp('ann');
    const old = 'p\u0430ypal';
    await app.sql('UPDATE "User" SET "username" = ?, "usernameKey" = ? WHERE "username" = ?', old, old, 'ann');
    const person = await ann.signIn(old, PASSWORD);
    expect((await person.gql('{ viewer { username } }')).viewer.username).toBe(old);
    expect((await person.gql(`{ user(username: "${old}") { username } }`)).user).toEqual({ username: old });
    const update = 'mutation { updateViewer(input: { firstName: "Ann" }) { ... on User { firstName } } }';
    expect((await person.gql(update)).updateViewer).toEqual({ firstName: 'Ann' });
    const rename = (name: string) =>
      person.fetch('/auth/username/', {
        method: 'POST',
        body: new URLSearchParams({ current_password: PASSWORD, new_username: name }),
      });
    const refused = await rename('\u0430nn');
    expect([refused.status, await refused.json()]).toEqual([400, { new_username: [MIXED] }]);
    expect((await rename('annie')).status).toBe(204);
  });
});
