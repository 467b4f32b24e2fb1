import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import {
  type AppliedMigration,
  hasNewerMigrations,
  type MigrationReport,
  type MigrationStatus,
  pendingMigrations,
  readMigrations,
  reportDone,
  type SchemaStatement,
} from './migrations.ts';

export const BUSY_TIMEOUT_MS = 5_000;

const RECORD_TABLE = `
  CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
    "id"                    TEXT PRIMARY KEY NOT NULL,
    "checksum"              TEXT NOT NULL,
    "finished_at"           DATETIME,
    "migration_name"        TEXT NOT NULL,
    "logs"                  TEXT,
    "rolled_back_at"        DATETIME,
    "started_at"            DATETIME NOT NULL DEFAULT current_timestamp,
    "applied_steps_count"   INTEGER UNSIGNED NOT NULL DEFAULT 0
  )`;

/** Returns the statements that are missing after the migrations. */
export type SqlitePlan = (database: Sqlite.Database) => readonly SchemaStatement[];

/**
 * Migrates the SQLite database at `path`; creates it if it is missing. All pending migrations, and the statements that are missing after them, are one
 * transaction under the write lock, so that of several processes that start together the first one migrates. Returns what was done.
 *
 * @throws {StartError} when this version is older than the database
 */
export function migrateSqlite(
  path: string,
  plan: SqlitePlan = () => [],
  report: MigrationReport = () => undefined,
): MigrationStatus {
  const start = performance.now();
  const database = new Sqlite(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    enterWalMode(database);
    const done = database.transaction(() => migrate(database, plan, report)).immediate();
    reportDone(done, start, report);
    return done;
  } finally {
    database.close();
  }
}

function migrate(database: Sqlite.Database, plan: SqlitePlan, report: MigrationReport): MigrationStatus {
  database.exec(RECORD_TABLE);
  const known = readMigrations('migrations');
  const applied = appliedMigrations(database);
  const pending = pendingMigrations(known, applied);
  for (const { name, sql, checksum } of pending) {
    report('info', 'a migration starts', { migration: name });
    database.exec(sql);
    database
      .prepare(
        `INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name", "finished_at", "applied_steps_count")
         VALUES (?, ?, ?, current_timestamp, 1)`,
      )
      .run(randomUUID(), checksum, name);
  }
  // The triggers of the newer release also serve this one.
  const statements = hasNewerMigrations(known, applied) ? [] : plan(database);
  for (const { sql } of statements) {
    database.exec(sql);
  }
  return { migrations: pending.map(({ name }) => name), statements: statements.map(({ name }) => name) };
}

/** Returns what a migration would do, without changing anything. */
export function checkSqlite(path: string, plan: SqlitePlan): MigrationStatus {
  // A file that is missing has the schema of an empty database.
  const database = new Sqlite(existsSync(path) ? path : ':memory:', { timeout: BUSY_TIMEOUT_MS });
  try {
    // Not opened read-only: SQLite would leave the files of its write-ahead log behind.
    database.pragma('query_only = on');
    const known = readMigrations('migrations');
    const hasRecord = database.prepare(`SELECT 1 FROM "sqlite_master" WHERE "name" = '_prisma_migrations'`).get();
    const applied = hasRecord === undefined ? [] : appliedMigrations(database);
    const migrations = pendingMigrations(known, applied).map(({ name }) => name);
    const statements = hasNewerMigrations(known, applied) ? [] : plan(database);
    return { migrations, statements: statements.map(({ name }) => name) };
  } finally {
    database.close();
  }
}

function appliedMigrations(database: Sqlite.Database): AppliedMigration[] {
  return database
    .prepare<[], AppliedMigration>(
      `SELECT "migration_name" AS "name", "checksum" FROM "_prisma_migrations"
       WHERE "rolled_back_at" IS NULL ORDER BY "migration_name"`,
    )
    .all();
}

function enterWalMode(database: Sqlite.Database): void {
  const deadline = Date.now() + BUSY_TIMEOUT_MS;
  for (;;) {
    try {
      database.pragma('journal_mode = WAL');
      return;
    } catch (error) {
      // SQLite has no busy timeout for a change of the journal mode, which another process may be making at the same time.
      if (!(error instanceof Sqlite.SqliteError && error.code.startsWith('SQLITE_BUSY')) || Date.now() > deadline) {
        throw error;
      }
    }
  }
}
