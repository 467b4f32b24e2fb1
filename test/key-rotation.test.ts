import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import jwt from 'jsonwebtoken';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type App, createApp } from '../src/app.ts';
import { parseConfig } from '../src/config/config.ts';
import { findRow } from '../src/database/rows.ts';
import { rotateSecretFile } from '../src/identity/secret-file.ts';
import { createLink } from '../src/users/links.ts';
import { privateDatabase, startApp, type TestApp } from './kit/app.ts';
import { Person, pageHeaders, signInCookie } from './kit/person.ts';
import { ON_POSTGRES } from './kit/postgres.ts';
import { runCommand } from './kit/process.ts';
import { SocketClient } from './kit/socket.ts';

const PASSWORD = 'a good long password';
const [FIRST, SECOND, UNKNOWN] = [1, 2, 3].map(() => randomBytes(32).toString('hex')) as [string, string, string];
const ME = '{ viewer { username } }';
const OBTAIN = `mutation ($username: String!, $password: String!) {
  obtainToken(input: { username: $username, password: $password }) { __typename ... on TokenPair { token refreshToken } }
}`;
const REFRESH = `mutation ($refreshToken: String!) {
  refreshToken(refreshToken: $refreshToken) { __typename ... on TokenPair { token refreshToken } ... on Error { message } }
}`;
const KEY = `mutation ($password: String!, $key: String!) {
  createAuthToken(input: { username: "ann", password: $password }, idempotencyKey: $key) {
    __typename ... on AuthTokenKey { authToken }
  }
}`;
const RESET = `mutation ($token: String!, $newPassword: String!) {
  resetPassword(input: { token: $token, newPassword: $newPassword }) { __typename }
}`;
const CREATE = 'mutation ($title: String!) { createTodo(input: { title: $title }) { __typename } }';

interface Tokens {
  readonly token: string;
  readonly refreshToken: string;
}

interface Node {
  readonly app: App;
  readonly url: string;
  readonly anyone: Person;
}

/** Starts a server in this process over a database that exists. */
async function startNode(env: Record<string, string>): Promise<Node> {
  const config = parseConfig({
    PORT: '0',
    HOST: '127.0.0.1',
    LOG_LEVEL: 'silent',
    MAX_EVENT_LOOP_DELAY_MS: '0',
    MAX_FAILED_SIGN_INS: '3',
    ...env,
  });
  const app = await createApp(config);
  const url = await app.listen();
  return { app, url, anyone: new Person(url, null, '') };
}

async function obtain({ anyone }: Node, username = 'ann'): Promise<Tokens> {
  return (await anyone.gql(OBTAIN, { username, password: PASSWORD })).obtainToken;
}

const refresh = async ({ anyone }: Node, { refreshToken }: Tokens) =>
  (await anyone.gql(REFRESH, { refreshToken })).refreshToken;
const headerOf = (token: string) => jwt.decode(token, { complete: true })?.header;

/** Expects that a token is accepted over GraphQL, REST and a socket. */
async function expectAccepted({ url }: Node, { token }: Pick<Tokens, 'token'>): Promise<void> {
  expect(await new Person(url, `Bearer ${token}`, 'ann').gql(ME)).toEqual({ viewer: { username: 'ann' } });
  const rest = await new Person(url, `JWT ${token}`, 'ann').fetch('/api/posts/');
  expect(rest.status).toBe(200);
  const socket = await SocketClient.open(url, `Bearer ${token}`);
  expect(await socket.execute(ME)).toEqual({ data: { viewer: { username: 'ann' } } });
  await socket.close();
}

/** The answer to a token that is refused. */
async function refusalOf({ url }: Node, token: string): Promise<unknown> {
  const { status, errors } = await new Person(url, `Bearer ${token}`, '').ask(ME);
  return { status, errors };
}

async function linkFor({ app }: Node, username: string): Promise<string> {
  const user = await findRow(app.services.database, 'User', { usernameKey: username });
  if (!user) {
    throw new Error(`There is no user ${username}.`);
  }
  return new URL(createLink(app.services, 'resetPassword', user).url).hash.slice('#token='.length);
}

const failToSignIn = async ({ anyone }: Node): Promise<string | undefined> => {
  const { data, errors } = await anyone.ask(OBTAIN, { username: 'eve', password: 'a wrong password' });
  return data?.obtainToken?.__typename ?? errors?.[0]?.extensions?.['code'];
};

describe('a rotation of SECRET_KEY over two nodes', () => {
  let base: TestApp;
  const nodes: Node[] = [];

  beforeAll(async () => {
    base = await startApp({ SECRET_KEY: FIRST });
    for (const name of ['ann', 'bob', 'cyn', 'eve']) {
      await base.signUp(name);
    }
  });
  afterAll(async () => {
    await Promise.all(nodes.map(({ app }) => app.close()));
    await base.close();
  });

  /** Restarts a node with other keys, as an operator does one after the other. */
  async function restart(index: number, SECRET_KEY: string, SECRET_KEY_OLD = ''): Promise<Node> {
    await nodes[index]?.app.close();
    nodes[index] = await startNode({ ...base.databaseEnv, SECRET_KEY, SECRET_KEY_OLD });
    return nodes[index];
  }

  it('should sign nobody out, whichever node is asked, at no step', async () => {
    let [one, two] = [await restart(0, FIRST), await restart(1, FIRST)];
    const issued: Tokens[] = [await obtain(one)];
    // Earlier versions set no key id; other programs that sign with the secret may set none.
    const { payload } = jwt.verify(issued[0]?.token ?? '', FIRST, { complete: true });
    issued.push({ token: jwt.sign(payload, FIRST, { noTimestamp: true }), refreshToken: '' });
    const cookie = await signInCookie(one.url, 'ann');
    const oldLink = await linkFor(one, 'bob');
    const { createAuthToken: key } = await one.anyone.gql(KEY, { password: PASSWORD, key: 'before' });

    const check = async (): Promise<void> => {
      for (const [node, other] of [
        [one, two],
        [two, one],
      ] as const) {
        const latest = await obtain(node);
        await expectAccepted(other, latest);
        issued.push(latest);
        const page = new Person(node.url, null, 'ann', pageHeaders(node.url, cookie));
        expect(await page.gql(ME)).toEqual({ viewer: { username: 'ann' } });
        // The same answer for the same idempotency key: it is encrypted with a key that is derived from the secret.
        const again = await node.anyone.gql(KEY, { password: PASSWORD, key: 'before' });
        expect(again.createAuthToken).toEqual(key);
        await Promise.all(issued.map((tokens) => expectAccepted(node, tokens)));
      }
      // Those of the beginning and of the last step.
      issued.splice(2, issued.length - 4);
    };
    await check();
    // First, every node accepts the new key; then each one signs with it; at last, the old one is removed.
    one = await restart(0, FIRST, SECOND);
    await check();
    two = await restart(1, FIRST, SECOND);
    one = await restart(0, SECOND, FIRST);
    await check();
    const [byOne, byTwo] = [await obtain(one), await obtain(two)];
    expect(headerOf(byOne.token)?.kid).not.toBe(headerOf(byTwo.token)?.kid);
    expect(
      (await two.anyone.gql(RESET, { token: await linkFor(one, 'cyn'), newPassword: PASSWORD })).resetPassword,
    ).toEqual({
      __typename: 'User',
    });
    two = await restart(1, SECOND, FIRST);
    await check();
    expect((await two.anyone.gql(RESET, { token: oldLink, newPassword: PASSWORD })).resetPassword).toEqual({
      __typename: 'User',
    });

    one = await restart(0, SECOND);
    const page = new Person(one.url, null, 'ann', pageHeaders(one.url, cookie));
    expect(await page.gql(ME)).toEqual({ viewer: { username: 'ann' } });
    await expectAccepted(one, byOne);
    // What the old key signed is refused now, and a refresh token brings a new access token: it is stored.
    const forged = jwt.sign(payload, UNKNOWN, { noTimestamp: true });
    expect(await refusalOf(one, byTwo.token)).toEqual(await refusalOf(one, forged));
    await expectAccepted(one, await refresh(one, byTwo));
  });

  it('should refuse a token with an unknown key id like one with a wrong signature', async () => {
    const node = await restart(0, SECOND, FIRST);
    const { token } = await obtain(node);
    const { payload, header } = jwt.verify(token, SECOND, { complete: true });
    const wrong = await refusalOf(node, jwt.sign(payload, UNKNOWN, { noTimestamp: true }));
    const own = header.kid ?? '';
    expect(own).toMatch(/^[\w-]{12}$/);
    const signed = (secret: string, keyid?: unknown) =>
      jwt.sign(payload, secret, { noTimestamp: true, header: { alg: 'HS256', kid: keyid as string } });
    for (const kid of ['unknown', '', `${own}=`, null, 5, ['x'], { own }, '__proto__', 'x'.repeat(2000)]) {
      expect([kid, await refusalOf(node, signed(SECOND, kid))]).toEqual([kid, wrong]);
    }
    expect(await refusalOf(node, signed(FIRST, own))).toEqual(wrong);
    expect(await refusalOf(node, signed(UNKNOWN, own))).toEqual(wrong);
    for (const accepted of [signed(SECOND, own), signed(FIRST), signed(SECOND)]) {
      await expectAccepted(node, { token: accepted });
    }
  });

  it('should notice the reuse of a refresh token that the old key signed', async () => {
    const before = await restart(0, FIRST);
    const stolen = await obtain(before);
    const current: Tokens = await refresh(before, stolen);
    await base.sql(`DELETE FROM "RefreshToken" WHERE "usedAt" IS NOT NULL`);
    const after = await restart(0, SECOND, FIRST);
    expect((await refresh(after, stolen)).__typename).toBe('CredentialsError');
    expect((await refresh(after, current)).__typename).toBe('CredentialsError');
  });

  it('should not reset the count of wrong passwords', async () => {
    let [one, two] = [await restart(0, FIRST, SECOND), await restart(1, FIRST)];
    expect(await failToSignIn(one)).toBe('CredentialsError');
    two = await restart(1, FIRST, SECOND);
    one = await restart(0, SECOND, FIRST);
    expect(await failToSignIn(two)).toBe('CredentialsError');
    expect(await failToSignIn(one)).toBe('CredentialsError');
    expect([await failToSignIn(one), await failToSignIn(two)]).toEqual(['RATE_LIMITED', 'RATE_LIMITED']);
  });
});

// It is about a file beside a SQLite database, the same whichever database the suite is run over.
describe.skipIf(ON_POSTGRES)('the command rotate-key', () => {
  const database = privateDatabase();
  const env = { DATABASE_URL: `file:${database.path}` };
  const file = `${database.path}.secret`;
  const lines = (): string[] => readFileSync(file, 'utf8').trim().split('\n');
  let one: Node;
  let two: Node;

  beforeAll(async () => {
    [one, two] = [await startNode(env), await startNode(env)];
    await one.anyone.gql(`mutation { signUp(input: { username: "ann", password: "${PASSWORD}" }) { __typename } }`);
  });
  afterAll(async () => {
    await Promise.all([one.app.close(), two.app.close()]);
    database.remove();
  });

  it('should take effect in running servers, and sign nobody out', async () => {
    const before = await obtain(one);
    const link = await linkFor(one, 'ann');
    const cookie = await signInCookie(one.url, 'ann');
    const socket = await SocketClient.open(two.url, `Bearer ${before.token}`);
    const events = socket.start('subscription { todoChanged { todo { title } } }');
    const [previous] = lines();

    const { code, output } = await runCommand(['rotate-key'], env);
    expect([code, output]).toEqual([0, expect.stringContaining('running servers use from now on')]);
    expect(lines()).toEqual([
      expect.stringMatching(/^[\da-f]{64}$/),
      expect.stringMatching(`^${previous} until 20.*Z$`),
    ]);
    const until = Date.parse(lines()[1]?.split(' until ')[1] ?? '');
    expect(Math.round((until - Date.now()) / 86_400_000)).toBe(7);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(output).not.toContain(previous);

    const after = await obtain(one);
    expect(headerOf(after.token)?.kid).not.toBe(headerOf(before.token)?.kid);
    for (const node of [one, two]) {
      await expectAccepted(node, before);
      await expectAccepted(node, after);
      const page = new Person(node.url, null, 'ann', pageHeaders(node.url, cookie));
      expect(await page.gql(ME)).toEqual({ viewer: { username: 'ann' } });
    }
    const ann = new Person(two.url, `Bearer ${before.token}`, 'ann');
    await ann.gql(CREATE, { title: 'after the rotation' });
    expect((await events.event()).todo.title).toBe('after the rotation');
    await socket.close();
    expect((await two.anyone.gql(RESET, { token: link, newPassword: PASSWORD })).resetPassword.__typename).toBe('User');
  });

  it('should refuse a previous key once its time is over, and at once with --revoke', async () => {
    const tokens = await obtain(one);
    const [signing, ...earlier] = lines();
    // The next key, with the current one as an earlier one whose time is over.
    writeFileSync(file, [SECOND, `${signing} until 2026-01-01T00:00:00Z`, ...earlier, ''].join('\n'));
    const forged = jwt.sign({ user_id: 1 }, UNKNOWN);
    expect(await refusalOf(one, tokens.token)).toEqual(await refusalOf(one, forged));
    writeFileSync(file, `${SECOND}\n${signing}\n`);
    await expectAccepted(one, tokens);

    const unused = await obtain(one);
    const { code, output } = await runCommand(['rotate-key', '--revoke'], env);
    expect([code, output]).toEqual([0, expect.stringContaining('Restart the servers')]);
    expect(lines()).toHaveLength(1);
    expect(await refusalOf(two, unused.token)).toEqual(await refusalOf(two, forged));
    // Other identities were cached.
    await two.app.close();
    two = await startNode(env);
    expect(await refusalOf(two, tokens.token)).toEqual(await refusalOf(two, forged));
    await expectAccepted(one, await refresh(two, tokens));
  });

  it('should lose no key when it runs several times at once, and keep at most four', async () => {
    const [first] = lines();
    const runs = await Promise.all([1, 2].map(() => runCommand(['rotate-key'], env)));
    expect(runs.map(({ code }) => code)).toEqual([0, 0]);
    expect(lines()).toHaveLength(3);
    expect(lines()[2]).toContain(first);
    writeFileSync(file, `${[...lines(), FIRST, UNKNOWN].join('\n')}\n`);
    expect(() => rotateSecretFile(database.path, new Date())).toThrow(/at most 4 are kept.*--revoke/);
    expect(lines()).toHaveLength(5);
    expect(readdirSync(database.folder).filter((name) => name.includes('secret'))).toEqual(['tidings.db.secret']);
  });

  it('should keep the keys of running servers when the file is removed or damaged, and refuse to start with it', async () => {
    const tokens = await obtain(one);
    const text = readFileSync(file, 'utf8');
    rmSync(file);
    await expectAccepted(one, tokens);
    for (const [damaged, problem] of [
      ['short\n', /fewer than 32 characters/],
      [`${FIRST} until 2030-01-01T00:00:00Z\n`, /The first line of .* is an earlier secret/],
      [`${text}x until tomorrow\n`, /has a line that is not an earlier secret/],
    ] as const) {
      writeFileSync(file, damaged);
      await expectAccepted(one, tokens);
      await expect(startNode(env)).rejects.toThrow(problem);
    }
    writeFileSync(file, text);
    await expectAccepted(two, tokens);
  });

  it('should refuse where the server does not use the file', async () => {
    const [configured, missing] = await Promise.all([
      runCommand(['rotate-key'], { ...env, SECRET_KEY: FIRST }),
      runCommand(['rotate-key'], { DATABASE_URL: `file:${database.folder}/missing.db` }),
    ]);
    expect([configured.code, configured.output]).toEqual([1, expect.stringContaining('SECRET_KEY is set')]);
    expect([missing.code, missing.output]).toEqual([1, expect.stringContaining('There is no database')]);
    expect(readdirSync(database.folder)).not.toContain('missing.db');
  });
});
