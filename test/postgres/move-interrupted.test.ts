import { copyFileSync, existsSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migratePostgres } from '../../src/database/migrate-postgres.ts';
import { privateDatabase } from '../kit/app.ts';
import { refusalToStart, runHere } from '../kit/command.ts';
import { createDatabase, type PostgresDatabase, runSql } from '../kit/postgres.ts';
import { describeWith } from '../kit/present.ts';
import { type RunningCommand, startCommand } from '../kit/process.ts';

/** For several starts of the program on a busy machine. */
const TIMEOUT_MS = 90_000;
const SECRET_KEY = '9f1c27b0e84d635a7210fbce4496d83b';
const TODO = (title: string): string => `INSERT INTO "Todo" ("title") VALUES ('${title}')`;

describeWith('postgres', 'a move to PostgreSQL', () => {
  // Each test continues where the one before was killed.
  describe('that is killed', { shuffle: false }, interruptions);
});

function interruptions(): void {
  const file = privateDatabase();
  /** A copy of the source from before it was sealed: with it, the target is as after a crash between the two commits. */
  const unsealed = privateDatabase();
  const databases: PostgresDatabase[] = [];
  let target: PostgresDatabase;

  beforeAll(async () => {
    writeSource(file.path, TODO('first'));
    target = await createDatabase();
    databases.push(target);
    await migratePostgres(target.url);
  });
  afterAll(async () => {
    await Promise.all(databases.map(({ remove }) => remove()));
    file.remove();
    unsealed.remove();
  });

  function writeSource(path: string, sql: string): void {
    const source = new Sqlite(path, { timeout: 20_000 });
    try {
      source.exec(sql);
    } finally {
      source.close();
    }
  }

  /** Runs statements in a transaction that stays open, and returns the function that ends it. */
  async function block(sql: string): Promise<() => Promise<unknown>> {
    const client = new pg.Client({ connectionString: target.url });
    // A test that fails removes the database while this is connected.
    client.on('error', () => undefined);
    await client.connect();
    await client.query(`BEGIN; ${sql}`);
    return () => client.end();
  }

  const move = (path: string, to: PostgresDatabase) => ['move', '--from', `file:${path}`, '--to', to.url];
  const marked = (to: PostgresDatabase) => runSql(to.url, 'SELECT "state" FROM "_tidings_move"');
  const titles = async (to: PostgresDatabase) =>
    (await runSql(to.url, 'SELECT "title" FROM "Todo" ORDER BY "id"')).map(({ title }) => title);

  /** Waits until the command waits for a lock of this kind. */
  async function isStopped(command: RunningCommand, condition: string): Promise<void> {
    const waiting = `SELECT count(*)::int AS "n" FROM "pg_locks"
      WHERE "database" = (SELECT "oid" FROM "pg_database" WHERE "datname" = current_database()) AND NOT "granted" AND ${condition}`;
    const look = async () => (await runSql(target.url, waiting))[0]?.['n'];
    await Promise.race([
      expect.poll(look, { timeout: 40_000 }).toBeGreaterThan(0),
      command.finished.then(({ output }) => expect.fail(`The move ended before it was stopped: ${output}`)),
    ]);
  }

  /** Starts a move that stops after it has copied all rows; `release` lets it go on. */
  async function moveUpToTheSequences(): Promise<{ command: RunningCommand; release: () => Promise<unknown> }> {
    const release = await block('ALTER SEQUENCE "Note_id_seq" CACHE 1');
    const command = startCommand(move(file.path, target), {});
    await isStopped(command, `"relation" = '"Note_id_seq"'::regclass`);
    return { command, release };
  }

  const serve = (url: string) => refusalToStart({ DATABASE_URL: url, SECRET_KEY });

  it('should leave a source that is served, and a target that is not, until everything is copied', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const { command, release } = await moveUpToTheSequences();
    expect(command.output()).toMatch(/Todo: 1 of 1, \d+ % of all rows/);
    await expect(runSql(target.url, `SET lock_timeout = '50ms'; ${TODO('theirs')}`)).rejects.toThrow();
    command.kill('SIGKILL');
    await Promise.all([command.finished, release()]);
    expect(await marked(target)).toEqual([{ state: 'filling' }]);
    await expect(runSql(target.url, TODO('theirs'))).rejects.toThrow(/being filled by move and rejects writes/);
    const [refused] = await Promise.all([serve(target.url), writeSource(file.path, TODO('after the first attempt'))]);
    expect(refused).toContain('is being filled by `move`');
    expect(refused).toContain('run the same command again');
  });

  it('should start over, and let neither be served between the sealing of the source and the last step', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const { command, release } = await moveUpToTheSequences();
    const other = await runHere(move(file.path, target), {});
    expect(other).toMatchObject({ code: 1, output: expect.stringContaining('Another process moves a database') });
    copyFileSync(file.path, unsealed.path);
    if (existsSync(`${file.path}-wal`)) {
      copyFileSync(`${file.path}-wal`, `${unsealed.path}-wal`);
    }
    // The last step removes this function.
    const releaseLast = await block(`COMMENT ON FUNCTION tidings_reject_writes() IS 'kept'`);
    await release();
    await isStopped(command, `"locktype" = 'object'`);
    command.kill('SIGKILL');
    await Promise.all([command.finished, releaseLast()]);

    expect(await marked(target)).toEqual([{ state: 'copied' }]);
    expect(() => writeSource(file.path, TODO('too late'))).toThrow(/was moved to PostgreSQL/);
    const [sealed, unfinished] = await Promise.all([serve(`file:${file.path}`), serve(target.url)]);
    const { host, pathname, password } = new URL(target.url);
    expect(sealed).toContain(`was moved to ${host}${pathname}`);
    expect(password === '' || !sealed.includes(password)).toBe(true);
    expect(unfinished).toContain('is being filled by `move`');
  });

  it('should be completed by the next call, however often it is called', { timeout: TIMEOUT_MS }, async () => {
    const clone = await createDatabase(new URL(target.url).pathname.slice(1));
    databases.push(clone);
    // Between the commits the source was not sealed yet, and a server could write it again.
    writeSource(unsealed.path, TODO('after the second attempt'));
    const [finished, restarted] = await Promise.all([
      runHere(move(file.path, target), {}),
      runHere(move(unsealed.path, clone), {}),
    ]);
    for (const { code, output } of [finished, restarted]) {
      expect([code, output]).toEqual([0, expect.stringContaining('Start the server with DATABASE_URL')]);
    }
    expect(finished.output).not.toContain('Todo:');
    expect(await titles(target)).toEqual(['first', 'after the first attempt']);
    expect(await titles(clone)).toEqual(['first', 'after the first attempt', 'after the second attempt']);
    await expect(runSql(target.url, TODO('on PostgreSQL'))).resolves.toEqual([]);
    const [again, elsewhere] = await Promise.all([
      runHere(move(file.path, target), {}),
      runHere(move(file.path, clone), {}),
    ]);
    expect(again).toMatchObject({ code: 0 });
    expect(elsewhere).toMatchObject({ code: 1, output: expect.stringContaining('This target is another database') });
    expect(await titles(target)).toContain('on PostgreSQL');
  });
}
