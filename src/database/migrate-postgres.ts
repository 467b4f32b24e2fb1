import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { type AppliedMigration, pendingMigrations, readMigrations } from './migrations.ts';

/** The advisory lock that processes which start together take in turn; any number that nobody else uses. */
const START_LOCK = 0x7469_6469;
/** How long a change of the shape waits for a lock, in milliseconds: writers queue behind it meanwhile. */
const LOCK_TIMEOUT_MS = 3_000;
const LOCK_NOT_AVAILABLE = '55P03';
const MAX_ATTEMPTS = 20;
const RETRY_DELAY_MS = 1_000;
/** How long a connection may take to be made where nobody says so, in milliseconds. */
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
 * Brings a PostgreSQL database up to date. Everything pending is one transaction, which only one process at a time may run: of several
 * that start together one migrates and the others find it done. `prepare` runs in the same transaction.
 */
export async function migratePostgres(
  url: string,
  prepare: (client: pg.Client) => Promise<void> = async () => undefined,
  timeoutMs = CONNECTION_TIMEOUT_MS,
): Promise<void> {
  await aloneInTransaction({ url, timeoutMs }, async (client) => {
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
    await prepare(client);
  });
}

export interface PostgresServer {
  readonly url: string;
  /** How long a connection may take to be made, in milliseconds. */
  readonly timeoutMs?: number;
}

/**
 * Does what only one process at a time may do to the shape of the database, all of it or nothing. Where it needs a lock that another transaction keeps, it
 * gives way to the writers that queue behind it, and tries again.
 */
export async function aloneInTransaction(
  server: PostgresServer,
  work: (client: pg.Client) => Promise<void>,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await runAlone(server, work);
    } catch (error) {
      const isLocked = error instanceof pg.DatabaseError && error.code === LOCK_NOT_AVAILABLE;
      if (!isLocked || attempt === MAX_ATTEMPTS) {
        throw error;
      }
      await pause(RETRY_DELAY_MS);
    }
  }
}

async function runAlone(
  { url, timeoutMs = CONNECTION_TIMEOUT_MS }: PostgresServer,
  work: (client: pg.Client) => Promise<void>,
): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: timeoutMs });
  // The query that waits on a connection that breaks fails by itself.
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
