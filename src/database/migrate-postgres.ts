import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { type AppliedMigration, pendingMigrations, readMigrations } from './migrations.ts';

/** The advisory lock that processes which start together take in turn; any number that nobody else uses. */
const START_LOCK = 0x7469_6469;

const RECORD_TABLE = `
  CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
    "id"                    VARCHAR(36) PRIMARY KEY NOT NULL,
    "checksum"              VARCHAR(64) NOT NULL,
    "finished_at"           TIMESTAMPTZ,
    "migration_name"        VARCHAR(255) NOT NULL,
    "logs"                  TEXT,
    "rolled_back_at"        TIMESTAMPTZ,
    "started_at"            TIMESTAMPTZ NOT NULL DEFAULT now(),
    "applied_steps_count"   INTEGER NOT NULL DEFAULT 0
  )`;

/**
 * Brings a PostgreSQL database up to date. Everything pending is one transaction, which only one process at a time may run: of several
 * that start together one migrates and the others find it done.
 */
export async function migratePostgres(url: string): Promise<void> {
  await aloneInTransaction(url, async (client) => {
    await client.query(RECORD_TABLE);
    const { rows } = await client.query<AppliedMigration>(
      'SELECT "migration_name" AS "name", "checksum" FROM "_prisma_migrations" WHERE "rolled_back_at" IS NULL',
    );
    for (const { name, sql, checksum } of pendingMigrations(readMigrations('postgres/migrations'), rows)) {
      // One string without parameters: the simple protocol takes a whole script, function bodies included.
      await client.query(sql);
      await client.query(
        `INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name", "finished_at", "applied_steps_count")
         VALUES ($1, $2, $3, now(), 1)`,
        [randomUUID(), checksum, name],
      );
    }
  });
}

/** Does what only one process at a time may do to the shape of the database, all of it or nothing. */
export async function aloneInTransaction(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  // A connection that breaks is told by the query that waits on it.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock($1)', [START_LOCK]);
    await work(client);
    await client.query('COMMIT');
  } finally {
    await client.end();
  }
}
