import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { type AppliedMigration, pendingMigrations, readMigrations } from './migrations.ts';

/** The advisory lock that serialises the migrations of processes that start together; an arbitrary number. */
const START_LOCK = 0x7469_6469;
/** How long a schema change waits for a lock, in milliseconds: writers queue behind it during that time. */
const LOCK_TIMEOUT_MS = 3_000;
const LOCK_NOT_AVAILABLE = '55P03';
const MAX_ATTEMPTS = 20;
const RETRY_DELAY_MS = 1_000;
/** The default time-out of a connection attempt, in milliseconds. */
const CONNECTION_TIMEOUT_MS = 15_000;

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
 * Migrates a PostgreSQL database. All pending migrations are one transaction, which one process at a time runs, so that of several processes that start
 * together the first one migrates. `prepare` runs in the same transaction.
 */
export async function migratePostgres(
  url: string,
  prepare: (client: pg.Client) => Promise<void> = async () => undefined,
  timeoutMs = CONNECTION_TIMEOUT_MS,
): Promise<void> {
  await runExclusively({ url, timeoutMs }, async (client) => {
    await client.query(RECORD_TABLE);
    const { rows } = await client.query<AppliedMigration>(
      'SELECT "migration_name" AS "name", "checksum" FROM "_prisma_migrations" WHERE "rolled_back_at" IS NULL',
    );
    for (const { name, sql, checksum } of pendingMigrations(readMigrations('postgres/migrations'), rows)) {
      // Without parameters, so that the simple query protocol is used, which accepts a script of several statements.
      await client.query(sql);
      await client.query(
        `INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name", "finished_at", "applied_steps_count")
         VALUES ($1, $2, $3, now(), 1)`,
        [randomUUID(), checksum, name],
      );
    }
    await prepare(client);
  });
}

export interface PostgresServer {
  readonly url: string;
  /** The time-out of a connection attempt, in milliseconds. */
  readonly timeoutMs?: number;
}

/**
 * Runs a change of the database schema in a transaction, in one process at a time. When it cannot get a lock in time, it rolls back, so that the writers
 * that queue behind it continue, and retries.
 */
export async function runExclusively(
  server: PostgresServer,
  work: (client: pg.Client) => Promise<void>,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await runOnce(server, work);
    } catch (error) {
      const isLocked = error instanceof pg.DatabaseError && error.code === LOCK_NOT_AVAILABLE;
      if (!isLocked || attempt === MAX_ATTEMPTS) {
        throw error;
      }
      await pause(RETRY_DELAY_MS);
    }
  }
}

async function runOnce(
  { url, timeoutMs = CONNECTION_TIMEOUT_MS }: PostgresServer,
  work: (client: pg.Client) => Promise<void>,
): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: timeoutMs });
  // The pending query of a broken connection fails as well.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock($1)', [START_LOCK]);
    await client.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
    await work(client);
    await client.query('COMMIT');
  } finally {
    await client.end();
  }
}
