import { performance } from 'node:perf_hooks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';

const PASSWORD = 'a good long password';
const SIGN_UP = `mutation ($username: String!) {
  signUp(input: { username: $username, password: "${PASSWORD}" }) {
    ... on User { username } ... on ValidationError { fields { path message } }
  }
}`;

let app: TestApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.close());

const signUp = async (username: string) => (await app.anonymous.gql(SIGN_UP, { username })).signUp;

describe('a username that looks like that of somebody else', () => {
  const LOOKS_ALIKE = { fields: [{ path: 'username', message: 'This username looks like that of another user.' }] };
  const TAKEN = { fields: [{ path: 'username', message: 'A user with that username already exists.' }] };

  it.each([
    ['paul', 'pau1'],
    ['scope1', '\u0455\u0441\u043e\u0440\u04351'],
    ['modern', 'rnodern'],
    ['bill', 'bi11'],
    ['zero0', 'zeroO'],
  ])('should be refused: %s and %s', async (name, similar) => {
    await app.signUp(name);
    expect(await signUp(similar)).toEqual(LOOKS_ALIKE);
    expect(await signUp(name)).toEqual(TAKEN);
    expect(await signUp(name.toUpperCase())).toEqual(TAKEN);
  });

  it('should be refused by the REST paths, and as a new name of an account', async () => {
    await app.signUp('hollow');
    const post = (path: string, body: Record<string, string>, person = app.anonymous) =>
      person.fetch(path, { method: 'POST', body: new URLSearchParams(body) });
    const created = await post('/auth/users/create/', { username: 'ho11ow', password: PASSWORD });
    expect([created.status, await created.json()]).toEqual([400, { username: [LOOKS_ALIKE.fields[0]?.message] }]);
    const other = await app.signUp('somebody');
    const renamed = await post('/auth/username/', { current_password: PASSWORD, new_username: 'ho11ow' }, other);
    expect(await renamed.json()).toEqual({ new_username: [LOOKS_ALIKE.fields[0]?.message] });
    const own = { current_password: PASSWORD, new_username: 's0mebody' };
    expect((await post('/auth/username/', own, other)).status).toBe(204);
  });

  it('should be refused with an idempotency key, too, and be given to one of two who ask at the same moment', async () => {
    const names = ['tw0', 'twO'];
    const made = await Promise.all(
      names.map((username, index) =>
        app.anonymous.gql(
          `mutation ($input: SignUpInput!, $key: String) {
            signUp(input: $input, idempotencyKey: $key) { ... on User { username } ... on ValidationError { fields { path message } } }
          }`,
          { input: { username, password: PASSWORD }, key: `key ${index}` },
        ),
      ),
    );
    const outcomes = made.map((answer) => answer.signUp);
    expect([LOOKS_ALIKE, TAKEN]).toContainEqual(outcomes.find(({ fields }) => fields));
    expect(outcomes.filter(({ username }) => names.includes(username))).toHaveLength(1);
  });

  it('should be compared with the names of before as well, which stay', async () => {
    const insert = 'INSERT INTO "User" ("username", "usernameKey", "passwordHash") VALUES (?, ?, ?)';
    for (const name of ['older', '0lder', '01d']) {
      await app.sql(insert, name, name, '!');
    }
    const again = await startApp(app.databaseEnv);
    try {
      await expect
        .poll(async () => (await app.sql(`SELECT "id" FROM "User" WHERE "usernameSkeleton" IS NULL`)).length)
        .toBe(1);
      expect(await signUp('o1der')).toEqual(LOOKS_ALIKE);
      expect(await signUp('oId')).toEqual(LOOKS_ALIKE);
    } finally {
      await again.close();
    }
  });
});

describe('a name that is far too long', () => {
  it('should keep nobody else waiting, wherever it goes', async () => {
    const name = `a${'\u0301'.repeat(25_000)}${'\u0316'.repeat(25_000)}`;
    const begun = performance.now();
    name.normalize('NFKC');
    const onceMs = performance.now() - begun;
    const ann = await app.signUp('ann');
    const LOGIN = '(input: { username: $name, password: "x" }) { __typename }';
    const start = performance.now();
    for (const query of [
      'query ($name: String!) { user(username: $name) { id } }',
      `mutation ($name: String!) { obtainToken${LOGIN} }`,
      `mutation ($name: String!) { createAuthToken${LOGIN} }`,
      'mutation ($name: String!) { requestPasswordReset(username: $name) }',
      'mutation ($name: String!) { signUp(input: { username: $name, password: "a good long password" }) { __typename } }',
    ]) {
      await ann.ask(query, { name });
    }
    // Each of them would take as long as that.
    expect(performance.now() - start).toBeLessThan(onceMs);
  });
});
