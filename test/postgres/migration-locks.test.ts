import pg from 'pg';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { loggedModels } from '../../src/changes/logged-models.ts';
import { checkPostgres, migratePostgres } from '../../src/database/migrate-postgres.ts';
import { readMigrations } from '../../src/database/migrations.ts';
import { planPostgresSearch } from '../../src/search-index/postgres-index.ts';
import { schemaPlan } from '../../src/services.ts';
import { MODELS, SEARCHED } from '../../src/slices.ts';
import { createDatabase, type PostgresDatabase, runSql } from '../kit/postgres.ts';
import { describeWith } from '../kit/present.ts';
import { runCommand } from '../kit/process.ts';

/** Longer than a migration blocks writers before it makes way for them, on a loaded machine; the open transaction would block them for ever. */
const WRITE_DEADLINE_MS = 10_000;
const { postgres: plan } = schemaPlan(loggedModels(MODELS));

interface Report {
  readonly message: string;
  readonly details: Record<string, unknown>;
}

describeWith('postgres', 'a migration beside a transaction that stays open', () => {
  let database: PostgresDatabase;
  let writer: pg.Client;
  let pid: number;
  const sql = (statement: string) => runSql(database.url, statement);
  const env = (): Record<string, string> => ({
    DATABASE_URL: database.url,
    SECRET_KEY: '9f1c27b0e84d635a7210fbce4496d83b',
  });
  const commit = async (): Promise<void> => {
    await writer.query('COMMIT');
  };

  beforeAll(async () => {
    database = await createDatabase();
    await migratePostgres(database.url, plan);
    writer = new pg.Client({ connectionString: database.url, application_name: 'nightly report' });
    await writer.connect();
    const { rows } = await writer
      .query('BEGIN; INSERT INTO "Todo" ("title") VALUES (\'slow\')')
      .then(() => writer.query<{ pid: number }>('SELECT pg_backend_pid() AS "pid"'));
    pid = rows[0]?.pid ?? 0;
  });
  afterAll(async () => {
    await writer.end();
    await database.remove();
  });

  it('should not wait for it where only functions have changed', async () => {
    await sql(`COMMENT ON FUNCTION tidings_hold_floor() IS 'tidings of an earlier release'`);
    expect(await migratePostgres(database.url, plan, { lockWaitMs: 1 })).toEqual({
      isNew: false,
      migrations: [],
      statements: ['functions'],
    });
    expect(await checkPostgres(database.url, plan)).toEqual({ isNew: false, migrations: [], statements: [] });
  });

  it('should end after MIGRATION_LOCK_TIMEOUT_S, naming the transaction', async () => {
    await sql(`COMMENT ON FUNCTION tidings_hold_floor() IS 'tidings of an earlier release'`);
    await commit();
    // As a release that does not log deletions would have made it.
    await sql(`CREATE OR REPLACE TRIGGER "tidings_log_Todo" AFTER INSERT OR UPDATE ON "Todo"
      FOR EACH ROW EXECUTE FUNCTION "tidings_log_Todo"()`);
    await writer.query('BEGIN; INSERT INTO "Todo" ("title") VALUES (\'slow\')');

    const [check, migration] = await Promise.all([
      runCommand(['migrate', '--check'], env()),
      runCommand(['migrate'], { ...env(), MIGRATION_LOCK_TIMEOUT_S: '1' }),
    ]);
    expect(check).toEqual({
      code: 3,
      output: 'pending change: functions\npending change: trigger tidings_log_Todo\n',
    });
    expect(migration.code).toBe(1);
    expect(migration.output).toContain(`process ${pid} (nightly report, idle in transaction, transaction open for`);
    expect(migration.output).toContain('could not be changed within 1 seconds (MIGRATION_LOCK_TIMEOUT_S)');
    // Nothing is half done.
    const { statements } = await checkPostgres(database.url, plan);
    expect(statements).toEqual(['functions', 'trigger tidings_log_Todo']);
  });

  it('should let writers continue until it ends, and then take effect', { timeout: 60_000 }, async () => {
    const reports: Report[] = [];
    const migration = migratePostgres(database.url, plan, {
      report: (_level, message, details) => reports.push({ message, details }),
    });
    // A test that fails removes the database.
    migration.catch(() => undefined);
    const reported = (text: string) => reports.filter(({ message }) => message.includes(text));
    const write = async (title: string): Promise<number> => {
      const start = performance.now();
      await sql(`INSERT INTO "Todo" ("title") VALUES ('${title}')`);
      return performance.now() - start;
    };
    const reportOf = (text: string): Promise<void> =>
      vi.waitFor(() => expect(reported(text)).not.toEqual([]), WRITE_DEADLINE_MS);
    await reportOf('waits for other transactions');
    expect(reports[0]?.details['blockers']).toMatchObject([{ pid, state: 'idle in transaction' }]);
    // This one queues behind the migration, until the migration makes way.
    expect(await write('queued')).toBeLessThan(WRITE_DEADLINE_MS);
    await reportOf('got no lock');
    expect(await write('at once')).toBeLessThan(WRITE_DEADLINE_MS);
    await commit();
    expect(await migration).toEqual({
      isNew: false,
      migrations: [],
      statements: ['functions', 'trigger tidings_log_Todo'],
    });
    await sql(`DELETE FROM "Todo" WHERE "title" = 'queued'`);
    const logged = await sql(`SELECT "action" FROM "Change" WHERE "model" = 'Todo' ORDER BY "seq"`);
    expect(logged.map(({ action }) => action)).toEqual(['INSERT', 'INSERT', 'INSERT', 'INSERT', 'DELETE']);
  });
});

describeWith('postgres', 'the additive migrations', () => {
  let database: PostgresDatabase;
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database.remove());

  it('should read the messages and index the users before they stop readers', async () => {
    const migrations = readMigrations('postgres/migrations');
    const first = migrations.findIndex(({ name }) => name.endsWith('_expand_message_details'));
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    for (const { sql } of migrations.slice(0, first)) {
      await client.query(sql);
    }
    const lockedBefore: Record<string, unknown[]> = {};
    await client.query('BEGIN');
    for (const statement of migrations.slice(first).flatMap(({ sql }) => sql.split(/(?<=;)\n/))) {
      const slow = /INSERT INTO "\w+"|INDEX "User_\w+"/.exec(statement)?.[0];
      if (slow) {
        const { rows } = await client.query<{ table: string }>(
          `SELECT c.relname AS "table" FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
           WHERE l.pid = pg_backend_pid() AND l.mode = 'AccessExclusiveLock' AND c.relname IN ('User', 'ChatSession', 'ChatMember', 'ChatMessage')
           ORDER BY c.relname`,
        );
        lockedBefore[slow] = rows.map(({ table }) => table);
      }
      await client.query(statement);
    }
    await client.end();
    const chats = ['ChatMember', 'ChatMessage', 'ChatSession'];
    expect(lockedBefore).toEqual({
      'INSERT INTO "ChatReadMark"': [],
      'INDEX "User_firstName_id_idx"': chats,
      'INDEX "User_lastName_id_idx"': chats,
    });
  });
});

describeWith('postgres', 'a trigger of the search index', () => {
  it.each(['', '_truncate'])('should be made again after tidings_search_Todo%s was dropped', async (suffix) => {
    const database = await createDatabase();
    try {
      const search = (client: pg.Client) => planPostgresSearch(client, SEARCHED);
      await migratePostgres(database.url, search);
      await runSql(database.url, `DROP TRIGGER "tidings_search_Todo${suffix}" ON "Todo"`);
      expect((await migratePostgres(database.url, search)).statements).toContain('trigger tidings_search_Todo');
      expect((await checkPostgres(database.url, search)).statements).toEqual([]);
      await runSql(database.url, `INSERT INTO "Todo" ("title") VALUES ('seen')`);
      expect(await runSql(database.url, 'SELECT "id" FROM "SearchEntry"')).toHaveLength(1);
    } finally {
      await database.remove();
    }
  });
});
