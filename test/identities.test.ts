import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { Person } from './kit/person.ts';
import { ON_POSTGRES } from './kit/postgres.ts';
import { type ServerProcess, startProcess } from './kit/process.ts';

const PASSWORD = 'a good long password';
const SECRET_KEY = '4a056b903ff6d50cc4033baaba30aea630bb6cfc94';
/** The documentation says a second; the machine may be busy. */
const AT_ONCE_MS = 4_000;
const LOOK_INTERVAL_MS = 25;
const BULK = 50_000;

let app: TestApp;
let other: ServerProcess;
let count = 0;

beforeAll(async () => {
  app = await startApp({ SECRET_KEY, MAX_FAILED_SIGN_INS: '1000' });
  other = await startProcess({ ...app.databaseEnv, SECRET_KEY });
});
afterAll(async () => {
  await other.stop();
  await app.close();
});

interface Newcomer {
  readonly person: Person;
  readonly refreshToken: string;
  /** The same person, as a caller of the other process. */
  readonly elsewhere: Person;
}

/** Somebody who has just signed in, and whose identity both processes have cached. */
async function newcomer(at = app): Promise<Newcomer> {
  count += 1;
  const username = `user${count}`;
  await at.signUp(username);
  const { obtainToken } = await at.anonymous.gql(`mutation {
    obtainToken(input: { username: "${username}", password: "${PASSWORD}" }) { ... on TokenPair { token refreshToken } }
  }`);
  const { token, refreshToken } = obtainToken;
  const person = new Person(at.url, `Bearer ${token}`, username);
  const elsewhere = new Person(other.url, `Bearer ${token}`, username);
  await expectAccepted(person);
  await expectAccepted(person);
  return { person, refreshToken, elsewhere };
}

const ask = async (person: Person) => (await person.ask('{ viewer { username } }')).errors?.[0]?.extensions?.['code'];

async function expectAccepted(person: Person): Promise<void> {
  expect(await ask(person)).toBeUndefined();
}

async function expectRefusedSoon(person: Person): Promise<void> {
  const deadline = Date.now() + AT_ONCE_MS;
  while ((await ask(person)) !== 'UNAUTHENTICATED') {
    expect(Date.now(), `${person.username} is still accepted`).toBeLessThan(deadline);
    await sleep(LOOK_INTERVAL_MS);
  }
}

/** Makes it longer ago that refresh tokens were used than they may be presented again. */
const LONG_USED = `UPDATE "RefreshToken" SET "usedAt" = '2020-01-01T00:00:00.000+00:00' WHERE "usedAt" IS NOT NULL`;

/** What ends an access token, done by a caller. */
const ENDS: Readonly<Record<string, (by: Person, refreshToken: string) => Promise<unknown>>> = {
  'signing out': (by) => by.gql('mutation { destroyAuthToken }'),
  'another password': (by) =>
    by.gql(
      `mutation { changePassword(input: { currentPassword: "${PASSWORD}", newPassword: "another good one" }) { __typename } }`,
    ),
  'a closed account': (by) => by.gql(`mutation { deactivateViewer(currentPassword: "${PASSWORD}") { __typename } }`),
  'another username': (by) =>
    by.fetch('/auth/username/', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ current_password: PASSWORD, new_username: `${by.username}renamed` }),
    }),
  'a refresh token that is used again later': async (by, refreshToken) => {
    const mutation = `mutation { refreshToken(refreshToken: "${refreshToken}") { __typename } }`;
    await by.gql(mutation);
    await app.sql(LONG_USED);
    await by.gql(mutation);
  },
};

const SHELL_ENDS: Readonly<Record<string, string>> = {
  'a deleted session': 'DELETE FROM "Session" WHERE "userId" = (SELECT "id" FROM "User" WHERE "username" = \'NAME\')',
  'a closed account': 'UPDATE "User" SET "isActive" = false WHERE "username" = \'NAME\'',
  'another username': `UPDATE "User" SET "username" = 'NAMEx', "usernameKey" = 'NAMEx' WHERE "username" = 'NAME'`,
  'a deleted user': 'DELETE FROM "User" WHERE "username" = \'NAME\'',
};

describe('an identity', () => {
  it('should be read once, and then known', async () => {
    const { person } = await newcomer();
    expect(await app.countStatements(() => person.ask('{ __typename }'))).toBe(0);
    const { authToken } = (
      await app.anonymous.gql(`mutation {
        createAuthToken(input: { username: "${person.username}", password: "${PASSWORD}" }) { ... on AuthTokenKey { authToken } }
      }`)
    ).createAuthToken;
    const holder = app.anonymous.with(`Token ${authToken}`);
    await expectAccepted(holder);
    expect(await app.countStatements(() => holder.ask('{ __typename }'))).toBe(0);
  });

  describe.each(Object.entries(ENDS))('that %s ends', (_name, end) => {
    it('should be refused by the next request of the same process', async () => {
      const { person, refreshToken } = await newcomer();
      await end(person, refreshToken);
      expect(await ask(person)).toBe('UNAUTHENTICATED');
    });

    it('should be refused by the next request of the same process while it is asked for all the time', async () => {
      const { person, refreshToken } = await newcomer();
      let isOver = false;
      const asking = Array.from({ length: 4 }, async () => {
        while (!isOver) {
          await ask(person);
        }
      });
      await end(person, refreshToken);
      expect(await ask(person)).toBe('UNAUTHENTICATED');
      isOver = true;
      await Promise.all(asking);
      expect(await ask(person)).toBe('UNAUTHENTICATED');
    });

    it('should be refused soon when another process ended it', async () => {
      const { person, elsewhere, refreshToken } = await newcomer();
      await end(elsewhere, refreshToken);
      await expectRefusedSoon(person);
    });
  });

  it.each(Object.entries(SHELL_ENDS))('should be refused soon when a shell ended it by %s', async (_name, sql) => {
    const { person } = await newcomer();
    await app.sql(sql.replaceAll('NAME', person.username));
    await expectRefusedSoon(person);
  });

  it('should have the rights of staff soon after a shell made it staff, and lose them', async () => {
    const { person } = await newcomer();
    const { person: owner } = await newcomer();
    const { createTodo } = await owner.gql('mutation { createTodo(input: { title: "own" }) { ... on Todo { id } } }');
    const sees = async () => (await person.gql(`{ todo(id: "${createTodo.id}") { title } }`)).todo !== null;
    for (const isStaff of [true, false]) {
      await app.sql(`UPDATE "User" SET "isStaff" = ${isStaff} WHERE "username" = '${person.username}'`);
      const deadline = Date.now() + AT_ONCE_MS;
      while ((await sees()) !== isStaff) {
        expect(Date.now()).toBeLessThan(deadline);
        await sleep(LOOK_INTERVAL_MS);
      }
    }
  });

  it('should be refused soon although many changes lie before its end in the log', { timeout: 60_000 }, async () => {
    const { person } = await newcomer();
    await app.sql(
      `WITH RECURSIVE "numbers"("n") AS (SELECT 1 UNION ALL SELECT "n" + 1 FROM "numbers" WHERE "n" < ${BULK})
       INSERT INTO "Todo" ("title") SELECT 'bulk' FROM "numbers"`,
    );
    await app.sql((SHELL_ENDS['a deleted session'] ?? '').replaceAll('NAME', person.username));
    await expectRefusedSoon(person);
  });

  it('should be read from the database while the log cannot be read', async () => {
    const broken = await startApp({ SECRET_KEY });
    try {
      const { person } = await newcomer(broken);
      expect(await broken.countStatements(() => person.ask('{ __typename }'))).toBe(0);
      if (ON_POSTGRES) {
        // Its function would write to the table that is gone.
        await broken.sql('ALTER TABLE "Session" DISABLE TRIGGER ALL');
      }
      await broken.sql('ALTER TABLE "Change" RENAME TO "Elsewhere"');
      const deadline = Date.now() + AT_ONCE_MS;
      while ((await broken.countStatements(() => person.ask('{ __typename }'))) === 0) {
        expect(Date.now()).toBeLessThan(deadline);
        await sleep(LOOK_INTERVAL_MS);
      }
      await broken.sql((SHELL_ENDS['a deleted session'] ?? '').replaceAll('NAME', person.username));
      expect(await ask(person)).toBe('UNAUTHENTICATED');
    } finally {
      await broken.close();
    }
  });
});
