import { createHash, randomBytes } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { afterSeconds, startApp, type TestApp } from './kit/app.ts';
import { Person } from './kit/person.ts';
import { ON_POSTGRES } from './kit/postgres.ts';
import { startProcess } from './kit/process.ts';
import { SocketClient } from './kit/socket.ts';

const SECRET_KEY = randomBytes(32).toString('hex');
const PASSWORD = 'a good long password';
const MIGRATION = '20261124000000_refresh_tokens';
const PAIR = 'token refreshToken refreshExpiresAt user { username }';
const OBTAIN = `mutation ($username: String!) {
  obtainToken(input: { username: $username, password: "${PASSWORD}" }) { ... on TokenPair { ${PAIR} } }
}`;
const REFRESH = `mutation ($refreshToken: String!) {
  refreshToken(refreshToken: $refreshToken) { __typename ... on TokenPair { ${PAIR} } ... on Error { message } }
}`;
const ME = '{ viewer { id username } }';
const REFUSED = { __typename: 'CredentialsError', message: 'The refresh token is not valid.' };

interface Pair {
  readonly __typename: string;
  readonly token: string;
  readonly refreshToken: string;
  readonly refreshExpiresAt: string;
}
/** Sends a refresh token to the server at a URL. */
type Refresh = (refreshToken: string, url?: string) => Promise<Pair>;

let app: TestApp;
let username = '';
beforeAll(async () => {
  app = await startApp({ SECRET_KEY, MAX_FAILED_SIGN_INS: '1000' });
  ({ username } = await app.signUp('ann'));
});
afterAll(() => app.close());

const signIn = async (): Promise<Pair> => (await app.anonymous.gql(OBTAIN, { username })).obtainToken;
const sidOf = ({ token }: Pair): string => jwt.decode(token, { json: true })?.['sid'];

const overHttp: Refresh = async (refreshToken, url = app.url) =>
  (await new Person(url, null, '').gql(REFRESH, { refreshToken })).refreshToken;

const overSocket: Refresh = async (refreshToken, url = app.url) => {
  const client = await SocketClient.open(url, null);
  const { data } = await client.execute(REFRESH, { refreshToken });
  await client.close();
  return data.refreshToken;
};

async function isAccepted({ token }: Pair): Promise<boolean> {
  const { data } = await app.anonymous.with(`Bearer ${token}`).ask(ME);
  return Boolean(data?.viewer);
}

/** Makes it longer ago that a refresh token was used. */
async function age({ refreshToken }: Pair, ageMs: number): Promise<void> {
  const hash = createHash('sha256').update(refreshToken).digest('hex');
  const { count } = await app.app.services.database.refreshToken.updateMany({
    where: { hash, usedAt: { not: null } },
    data: { usedAt: new Date(Date.now() - ageMs) },
  });
  expect(count).toBe(1);
}

describe.each([
  ['over HTTP', overHttp],
  ['over WebSocket', overSocket],
])('refreshing (%s)', (_name, refresh) => {
  it('should give a new pair of the same sign-in', async () => {
    const first = await signIn();
    const second = await refresh(first.refreshToken);
    expect(second).toMatchObject({ __typename: 'TokenPair', user: { username } });
    expect(second.token).not.toBe(first.token);
    expect(second.refreshToken).not.toBe(first.refreshToken);
    expect(sidOf(second)).toBe(sidOf(first));
    const signedInAt = ({ token }: Pair) => jwt.decode(token, { json: true })?.['orig_iat'];
    expect(signedInAt(second)).toBe(signedInAt(first));
    expect(await isAccepted(second)).toBe(true);
    expect(await refresh(second.refreshToken)).toMatchObject({ __typename: 'TokenPair' });
  });

  it('should refuse whatever was not issued, and end nothing', async () => {
    const pair = await signIn();
    const other = await signIn();
    const sid = sidOf(pair);
    const claims = { sid, jti: 'x', exp: Math.floor(Date.now() / 1000) + 600, aud: 'tidings refresh' };
    const [header, payload, signature] = pair.refreshToken.split('.');
    const forged = [
      '',
      'garbage',
      sid,
      `${sid}.garbage`,
      `${sid}.${'A'.repeat(43)}`,
      `${sid}.${randomBytes(32).toString('base64url')}`,
      `${'0'.repeat(32)}.${'A'.repeat(43)}`,
      pair.token,
      ` ${pair.refreshToken}`,
      `${pair.refreshToken}\n`,
      pair.refreshToken.slice(1),
      `${header}.${payload}.`,
      `${header}.${other.refreshToken.split('.')[1]}.${signature}`,
      jwt.sign(claims, 'x'.repeat(40)),
      jwt.sign(claims, SECRET_KEY, { algorithm: 'HS384' }),
      jwt.sign({ ...claims, aud: 'another' }, SECRET_KEY),
      jwt.sign({ ...claims, exp: 1 }, SECRET_KEY),
      jwt.sign({ ...claims, sid: undefined }, SECRET_KEY),
      jwt.sign({ ...claims, sid: 5 }, SECRET_KEY),
      jwt.sign(claims, '', { algorithm: 'none' }),
    ];
    for (const token of forged) {
      expect(await refresh(token), token).toEqual(REFUSED);
    }
    expect(await isAccepted(pair)).toBe(true);
    expect(await refresh(pair.refreshToken)).toMatchObject({ __typename: 'TokenPair' });
  });

  it('should give every tab a pair that refreshes at the same moment, and all go on', async () => {
    const first = await signIn();
    let tabs = await Promise.all(Array.from({ length: 6 }, () => refresh(first.refreshToken)));
    for (let round = 0; round < 3; round += 1) {
      expect(new Set(tabs.map(({ refreshToken }) => refreshToken)).size).toBe(6);
      const next: Pair[] = [];
      for (const tab of tabs) {
        expect(await isAccepted(tab)).toBe(true);
        expect(sidOf(tab)).toBe(sidOf(first));
        next.push(await refresh(tab.refreshToken));
        // One tab is asleep for longer than a used token may be presented again.
        await age(tab, 60_000);
      }
      tabs = next;
    }
  });

  it('should give a pair again within 30 seconds, also when the new pair is in use', async () => {
    const first = await signIn();
    const second = await refresh(first.refreshToken);
    const third = await refresh(second.refreshToken);
    await age(first, 28_000);
    const again = await refresh(first.refreshToken);
    for (const pair of [third, again]) {
      expect(await isAccepted(pair)).toBe(true);
      expect(await refresh(pair.refreshToken)).toMatchObject({ __typename: 'TokenPair' });
    }
  });

  it('should end the whole sign-in when a used token comes after that, and no other sign-in', async () => {
    const [first, other] = [await signIn(), await signIn()];
    const tabs = [await refresh(first.refreshToken), await refresh(first.refreshToken)];
    const socket = await SocketClient.open(app.url, `Bearer ${tabs[1]?.token}`);
    await age(first, 31_000);
    expect(await refresh(first.refreshToken)).toEqual(REFUSED);
    expect(await socket.closed).toMatchObject({ code: 4403 });
    for (const tab of tabs) {
      expect(await refresh(tab.refreshToken)).toEqual(REFUSED);
      expect(await isAccepted(tab)).toBe(false);
    }
    expect(await isAccepted(other)).toBe(true);
    expect(await refresh(other.refreshToken)).toMatchObject({ __typename: 'TokenPair' });
  });

  it('should recognise a used token for ever, of which nothing is kept', async () => {
    const first = await signIn();
    const second = await refresh(first.refreshToken);
    await age(first, 24 * 60 * 60 * 1000);
    const third = await refresh(second.refreshToken);
    const hash = createHash('sha256').update(first.refreshToken).digest('hex');
    expect(await app.sql('SELECT * FROM "RefreshToken" WHERE "hash" = ?', hash)).toEqual([]);
    expect(await refresh(first.refreshToken)).toEqual(REFUSED);
    expect(await refresh(third.refreshToken)).toEqual(REFUSED);
    expect(await isAccepted(third)).toBe(false);
  });

  it('should leave nothing when a reuse and refreshes of the same sign-in come at once', async () => {
    for (let round = 0; round < 5; round += 1) {
      const first = await signIn();
      const second = await refresh(first.refreshToken);
      await age(first, 60_000);
      const [reused, ...pairs] = await Promise.all([
        refresh(first.refreshToken),
        ...Array.from({ length: 5 }, () => refresh(second.refreshToken)),
      ]);
      expect(reused).toEqual(REFUSED);
      for (const pair of pairs.filter(({ __typename }) => __typename === 'TokenPair')) {
        expect(await refresh(pair.refreshToken)).toEqual(REFUSED);
        expect(await isAccepted(pair)).toBe(false);
      }
    }
  });

  it('should end in every tab by signing out in one', async () => {
    const first = await signIn();
    const [left, right] = await Promise.all([refresh(first.refreshToken), refresh(first.refreshToken)]);
    await app.anonymous.with(`Bearer ${left.token}`).gql('mutation { destroyAuthToken }');
    expect(await isAccepted(right)).toBe(false);
    for (const { refreshToken } of [first, left, right]) {
      expect(await refresh(refreshToken)).toEqual(REFUSED);
    }
  });

  it('should refuse a token that has ended without ending the sign-in', async () => {
    const brief = await startApp({ REFRESH_TOKEN_LIFE_S: '60' });
    try {
      await brief.signUp('ben');
      const first: Pair = (await brief.anonymous.gql(OBTAIN, { username: 'ben' })).obtainToken;
      const asleep = await refresh(first.refreshToken, brief.url);
      let awake = await refresh(first.refreshToken, brief.url);
      awake = await afterSeconds(40, () => refresh(awake.refreshToken, brief.url));
      await afterSeconds(61, async () => {
        for (const isKept of [true, false]) {
          expect(await refresh(asleep.refreshToken, brief.url)).toEqual(REFUSED);
          awake = await refresh(awake.refreshToken, brief.url);
          expect([isKept, awake.__typename]).toEqual([isKept, 'TokenPair']);
          await brief.app.services.database.refreshToken.deleteMany({ where: { expiresAt: { lt: new Date() } } });
        }
      });
    } finally {
      await brief.close();
    }
  });
});

describe('refresh tokens', () => {
  it('should sign no request', async () => {
    const { refreshToken } = await signIn();
    for (const scheme of ['Bearer', 'JWT', 'Token']) {
      expect(await app.anonymous.with(`${scheme} ${refreshToken}`).codeOf(ME)).toBe('UNAUTHENTICATED');
    }
    const { verifyToken } = await app.anonymous.gql(
      'mutation ($token: String!) { verifyToken(token: $token) { __typename } }',
      { token: refreshToken },
    );
    expect(verifyToken.__typename).toBe('CredentialsError');
    const body = new URLSearchParams({ token: refreshToken });
    for (const path of ['/auth/verify_token/', '/auth/refresh_token/']) {
      expect((await app.anonymous.fetch(path, { method: 'POST', body })).status).toBe(400);
    }
  });

  it('should be used once over several processes', async () => {
    const other = await startProcess({ ...app.databaseEnv, SECRET_KEY });
    const first = await signIn();
    const second = await overHttp(first.refreshToken, other.url);
    const urls = Array.from({ length: 10 }, (_, index) => (index % 2 ? app.url : other.url));
    const pairs = await Promise.all(urls.map((url) => overHttp(second.refreshToken, url)));
    for (const { __typename, refreshToken } of pairs) {
      expect(__typename).toBe('TokenPair');
      expect(await overHttp(refreshToken, other.url)).toMatchObject({ __typename: 'TokenPair' });
    }
    await age(second, 60_000);
    expect(await overHttp(second.refreshToken, other.url)).toEqual(REFUSED);
    await other.stop();
    expect(await app.sql('SELECT "id" FROM "Session" WHERE "sid" = ?', sidOf(first))).toEqual([]);
  });

  it('should not be used up by a failure of the database', async () => {
    const broken = await startApp();
    await broken.signUp('dan');
    const { refreshToken }: Pair = (await broken.anonymous.gql(OBTAIN, { username: 'dan' })).obtainToken;
    await broken.sql('ALTER TABLE "RefreshToken" RENAME COLUMN "expiresAt" TO "away"');
    expect(await broken.anonymous.codeOf(REFRESH, { refreshToken })).toBe('INTERNAL');
    await broken.sql('ALTER TABLE "RefreshToken" RENAME COLUMN "away" TO "expiresAt"');
    expect(await overHttp(refreshToken, broken.url)).toMatchObject({ __typename: 'TokenPair' });
    await broken.close();
  });

  it('should go on working when the database comes from a version that had one for each session', async () => {
    const old = await startApp({ SECRET_KEY });
    await old.signUp('cleo');
    const pair: Pair = (await old.anonymous.gql(OBTAIN, { username: 'cleo' })).obtainToken;
    const issued = `${sidOf(pair)}.${randomBytes(32).toString('base64url')}`;
    await old.sql(`ALTER TABLE "Session" ADD COLUMN "refreshHash" TEXT ${ON_POSTGRES ? 'COLLATE "C"' : ''}`);
    await old.sql('UPDATE "Session" SET "refreshHash" = \'of another session\'');
    const hash = createHash('sha256').update(issued).digest('hex');
    await old.sql('UPDATE "Session" SET "refreshHash" = ? WHERE "sid" = ?', hash, sidOf(pair));
    await old.sql('DELETE FROM "Session" WHERE "sid" <> ?', sidOf(pair));
    await old.sql('DROP TABLE "RefreshToken"');
    await old.sql(`DELETE FROM "_prisma_migrations" WHERE "migration_name" = ?`, MIGRATION);
    const next = await startProcess({ ...old.databaseEnv, SECRET_KEY });
    try {
      expect(await overHttp(`${sidOf(pair)}.${'A'.repeat(43)}`, next.url)).toEqual(REFUSED);
      const [left, right] = await Promise.all([overHttp(issued, next.url), overHttp(issued, next.url)]);
      for (const { token, refreshToken } of [left, right]) {
        const person = new Person(next.url, `Bearer ${token}`, 'cleo');
        expect((await person.gql(ME)).viewer.username).toBe('cleo');
        expect(await overHttp(refreshToken, next.url)).toMatchObject({ __typename: 'TokenPair' });
      }
      const usedAt = new Date(Date.now() - 60_000).toISOString().replace('Z', '+00:00');
      await old.sql('UPDATE "RefreshToken" SET "usedAt" = ? WHERE "hash" = ?', usedAt, hash);
      expect(await overHttp(issued, next.url)).toEqual(REFUSED);
      expect(await old.sql('SELECT "id" FROM "Session"')).toEqual([]);
    } finally {
      await next.stop();
      await old.close();
    }
  });
});
