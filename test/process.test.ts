import { statSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { afterAll, describe, expect, it } from 'vitest';
import { privateDatabase, startApp } from './kit/app.ts';
import { Person } from './kit/person.ts';
import { runCommand, startProcess } from './kit/process.ts';
import { SocketClient } from './kit/socket.ts';

const database = privateDatabase();
afterAll(database.remove);
const env = (name: string) => ({ DATABASE_URL: `file:${database.folder}/${name}.db` });
const ME = '{ viewer { username isStaff } }';

describe('the server as a process', () => {
  it('should report whether it runs and whether it can serve', async () => {
    const app = await startApp();
    const status = async (path: string): Promise<number> => (await fetch(`${app.url}${path}`)).status;
    expect([await status('/health'), await status('/ready')]).toEqual([200, 200]);
    const file = new Sqlite(app.databasePath);
    file.exec('ALTER TABLE "Lease" RENAME TO "Elsewhere"');
    expect([await status('/health'), await status('/ready')]).toEqual([200, 503]);
    file.exec('ALTER TABLE "Elsewhere" RENAME TO "Lease"');
    file.close();
    expect(await status('/ready')).toBe(200);
    await app.close();
  });

  it('should warn an operator who opens the chat sockets to everybody', async () => {
    const server = await startProcess({ ...env('open-chat'), CHAT_SOCKET_OPEN: 'true', LOG_LEVEL: 'warn' });
    expect(server.output()).toMatch(/"level":"warn".*CHAT_SOCKET_OPEN is set/);
    await server.stop();
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('should let running requests end on %s', async (signal) => {
    const server = await startProcess(env(`stop-${signal}`));
    const anyone = new Person(server.url, null, '');
    // Hashing takes long enough to be running still.
    const words = { username: 'ann', password: 'a good long password' };
    const signUp = anyone.gql('mutation ($input: SignUpInput!) { signUp(input: $input) { __typename } }', {
      input: words,
    });
    const socket = await SocketClient.open(server.url, null);
    const onSocket = socket.start('mutation ($input: SignUpInput!) { signUp(input: $input) { __typename } }', {
      input: { ...words, username: 'ben' },
    });
    const [answer, { code }, result] = await Promise.all([signUp, server.stop(signal), onSocket.event()]);
    expect([answer.signUp.__typename, result.__typename]).toEqual(['User', 'User']);
    expect(await socket.closed).toEqual({ code: 1001, reason: 'Going away' });
    expect(code).toBe(0);
  });

  it('should keep its secret, for its owner only, so that tokens outlive a restart', async () => {
    const settings = env('secret');
    const first = await startProcess(settings);
    const visitor = new Person(first.url, null, '');
    await visitor.gql(
      'mutation { signUp(input: { username: "ann", password: "a good long password" }) { __typename } }',
    );
    const { authorization } = await visitor.signIn('ann', 'a good long password');
    await first.stop();
    expect(statSync(`${database.folder}/secret.db.secret`).mode & 0o777).toBe(0o600);
    const second = await startProcess(settings);
    const ann = new Person(second.url, authorization, 'ann');
    expect((await ann.gql(ME)).viewer.username).toBe('ann');
    await second.stop();
  });

  it('should name every problem of its configuration, and no line of its code', async () => {
    const { code, output } = await runCommand([], { PORT: 'x', LOG_LEVEL: 'loud', DATABASE_URL: 'mysql://x' });
    expect(code).toBe(1);
    for (const name of ['PORT', 'LOG_LEVEL', 'DATABASE_URL']) {
      expect(output).toContain(name);
    }
    expect(output).not.toMatch(/\bat .*\.js/);
  });

  it('should explain itself when it is asked for a command that it has not', async () => {
    const { code, output } = await runCommand(['dance'], env('usage'));
    expect(code).toBe(2);
    expect(output).toContain('Usage:');
  });
});

describe('the command createsuperuser', () => {
  it('should make staff who can sign in, and refuse a name that is taken', async () => {
    const settings = env('staff');
    const words = { ...settings, TIDINGS_PASSWORD: 'a good long password' };
    expect(await runCommand(['createsuperuser', 'root'], words)).toMatchObject({ code: 0 });
    const again = await runCommand(['createsuperuser', 'ROOT'], words);
    expect(again.code).toBe(1);
    expect(again.output).toContain('A user with that username already exists.');
    const server = await startProcess(settings);
    const root = await new Person(server.url, null, '').signIn('root', 'a good long password');
    expect((await root.gql(ME)).viewer).toEqual({ username: 'root', isStaff: true });
    await server.stop();
  });

  it('should ask for missing arguments', async () => {
    const { code, output } = await runCommand(['createsuperuser'], env('asked'), 'boss\na good long password\n');
    expect(code).toBe(0);
    expect(output).toContain('Created the staff account boss.');
  });
});

describe('the command seed', () => {
  it.each([
    ['a small workspace', [], 1],
    ['as many rows as requested', ['2000'], 1500],
  ])('should make %s', async (label, rows, least) => {
    const name = `seed-${label.length}`;
    expect(await runCommand(['seed', ...rows], env(name))).toMatchObject({ code: 0 });
    const file = new Sqlite(`${database.folder}/${name}.db`, { readonly: true });
    const counts = ['User', 'TodoList', 'Todo', 'Post', 'ChatSession', 'ChatMember', 'ChatMessage', 'Note'].map(
      (table) => file.prepare<[], { n: number }>(`SELECT count(*) AS "n" FROM "${table}"`).get()?.n ?? 0,
    );
    file.close();
    expect(Math.min(...counts)).toBeGreaterThan(0);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(least);
  });
});
