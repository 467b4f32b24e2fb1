import { randomUUID } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { StartError } from '../errors.ts';
import { recordSqliteStorage, renewEpochOfSqliteCopy } from './copies.ts';
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
import { refuseMovedDatabase } from './moves.ts';

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

/** Migrates the SQLite database at `path` as {@link openMigrated} does, and closes it. Returns what was done. */
export function migrateSqlite(path: string, plan?: SqlitePlan, report?: MigrationReport): MigrationStatus {
  const { database, status } = openMigrated(path, plan, report);
  database.close();
  return status;
}

/** A migrated database, and what was done. */
export interface MigratedDatabase {
  readonly database: Sqlite.Database;
  readonly status: MigrationStatus;
}

/**
 * Opens and migrates the SQLite database at `path`; creates it if it is missing. All pending migrations, and the statements that are missing after them, are one
 * transaction under the write lock, so that of several processes that start together the first one migrates. While the connection is open, `restore` does not
 * replace the file.
 *
 * @throws {StartError} when this version is older than the database, when the database was moved to PostgreSQL, or was replaced by another one meanwhile
 */
export function openMigrated(
  path: string,
  plan: SqlitePlan = () => [],
  report: MigrationReport = () => undefined,
): MigratedDatabase {
  const start = performance.now();
  const file = fileId(path);
  const database = new Sqlite(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    refuseMovedDatabase(database);
    renewEpochOfSqliteCopy(database);
    enterWalMode(database);
    const status = database
      .transaction(() => {
        requireFile(path, file);
        const done = migrate(database, plan, report);
        recordSqliteStorage(database);
        return done;
      })
      .immediate();
    reportDone(status, start, report);
    return { database, status };
  } catch (error) {
    database.close();
    // SQLite may have noticed it first, with an error that does not say so.
    requireFile(path, file);
    throw error;
  }
}

/** @throws {StartError} when another file has taken the name: the write-ahead logs of both would have the same name */
function requireFile(path: string, expected: string | null): void {
  if (expected !== null && expected !== fileId(path)) {
    throw new StartError(`The database ${path} was replaced while it was being opened. Start again.`);
  }
}

/** Returns what distinguishes a file from another one that takes its name; null when there is none. */
function fileId(path: string): string | null {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found ? `${found.dev}:${found.ino}` : null;
}

function migrate(database: Sqlite.Database, plan: SqlitePlan, report: MigrationReport): MigrationStatus {
  database.exec(RECORD_TABLE);
  const known = readMigrations('migrations');
  const applied = appliedMigrations(database);
  const pending = pendingMigrations(known, applied);
  for (const { name, sql, checksum } of pending) {
    if (applied.length > 0) {
      report('info', 'a migration starts', { migration: name });
    }
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
  return {
    isNew: applied.length === 0,
    migrations: pending.map(({ name }) => name),
    statements: statements.map(({ name }) => name),
  };
}

/** Returns what a migration would do, without changing anything. */
export function checkSqlite(path: string, plan: SqlitePlan): MigrationStatus {
  // A file that is missing has the schema of an empty database.
  const database = new Sqlite(existsSync(path) ? path : ':memory:', { timeout: BUSY_TIMEOUT_MS });
  try {
    // Not opened read-only: SQLite would leave the files of its write-ahead log behind.
    database.pragma('query_only = on');
    refuseMovedDatabase(database);
    const known = readMigrations('migrations');
    const hasRecord = database.prepare(`SELECT 1 FROM "sqlite_master" WHERE "name" = '_prisma_migrations'`).get();
    const applied = hasRecord === undefined ? [] : appliedMigrations(database);
    const migrations = pendingMigrations(known, applied).map(({ name }) => name);
    const statements = hasNewerMigrations(known, applied) ? [] : plan(database);
    return { isNew: applied.length === 0, migrations, statements: statements.map(({ name }) => name) };
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
