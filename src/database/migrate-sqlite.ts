import { randomUUID } from 'node:crypto';
import Sqlite from 'better-sqlite3';
import { type AppliedMigration, pendingMigrations, readMigrations } from './migrations.ts';

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

/**
 * Migrates the SQLite database at `path`; creates it if it is missing. All pending migrations are one transaction under the write lock, so that of several
 * processes that start together the first one migrates. `prepare` runs in the same transaction.
 */
export function migrateSqlite(path: string, prepare: (database: Sqlite.Database) => void = () => undefined): void {
  const database = new Sqlite(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    enterWalMode(database);
    database
      .transaction(() => {
        database.exec(RECORD_TABLE);
        const applied = database
          .prepare<[], AppliedMigration>(
            'SELECT "migration_name" AS "name", "checksum" FROM "_prisma_migrations" WHERE "rolled_back_at" IS NULL',
          )
          .all();
        for (const migration of pendingMigrations(readMigrations('migrations'), applied)) {
          database.exec(migration.sql);
          database
            .prepare(
              `INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name", "finished_at", "applied_steps_count")
               VALUES (?, ?, ?, current_timestamp, 1)`,
            )
            .run(randomUUID(), migration.checksum, migration.name);
        }
        prepare(database);
      })
      .immediate();
  } finally {
    database.close();
  }
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
