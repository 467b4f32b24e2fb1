import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { renewEpochOfPostgresCopy } from './copies.ts';
import { connect, type MigrationServer, runExclusively } from './migration-lock.ts';
import {
  type AppliedMigration,
  hasNewerMigrations,
  type MigrationStatus,
  pendingMigrations,
  readMigrations,
  reportDone,
  type SchemaStatement,
} from './migrations.ts';
import { refuseUnfinishedMove } from './moves.ts';

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

/** Returns the statements that are missing after the migrations. */
export type PostgresPlan = (client: pg.Client) => Promise<readonly SchemaStatement[]>;

/**
 * Migrates a PostgreSQL database. All pending migrations, and the statements that are missing after them, are one transaction, which one process at a time
 * runs, so that of several processes that start together the first one migrates. Returns what was done.
 *
 * @throws {StartError} when this version is older than the database, or when other transactions block the migration for too long
 */
export async function migratePostgres(
  url: string,
  plan: PostgresPlan = async () => [],
  options: Omit<MigrationServer, 'url'> & {
    /** Whether servers will use the database: it must not be the unfinished target of a move, and a copy gets a new epoch. */
    readonly isServed?: boolean;
  } = {},
): Promise<MigrationStatus> {
  const { report = () => undefined, isServed = false } = options;
  const start = performance.now();
  const known = readMigrations('postgres/migrations');
  const done = await runExclusively({ ...options, url }, async (client) => {
    if (isServed) {
      await refuseUnfinishedMove(client);
    }
    await client.query(RECORD_TABLE);
    const applied = await appliedMigrations(client);
    const pending = pendingMigrations(known, applied);
    for (const { name, sql, checksum } of pending) {
      if (applied.length > 0) {
        report('info', 'a migration starts', { migration: name });
      }
      // Without parameters, so that the simple query protocol is used, which accepts a script of several statements.
      await client.query(sql);
      await client.query(
        `INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name", "finished_at", "applied_steps_count")
         VALUES ($1, $2, $3, now(), 1)`,
        [randomUUID(), checksum, name],
      );
    }
    // The triggers of the newer release also serve this one.
    const statements = hasNewerMigrations(known, applied) ? [] : await plan(client);
    for (const { sql } of statements) {
      await client.query(sql);
    }
    if (isServed) {
      await renewEpochOfPostgresCopy(client);
    }
    return {
      isNew: applied.length === 0,
      migrations: pending.map(({ name }) => name),
      statements: statements.map(({ name }) => name),
    };
  });
  reportDone(done, start, report);
  return done;
}

/** Returns what a migration would do, without changing anything or waiting for anybody. */
export async function checkPostgres(
  url: string,
  plan: PostgresPlan,
  { timeoutMs }: Pick<MigrationServer, 'timeoutMs'> = {},
): Promise<MigrationStatus> {
  const client = await connect(url, timeoutMs);
  try {
    await client.query('BEGIN TRANSACTION READ ONLY');
    await refuseUnfinishedMove(client);
    const known = readMigrations('postgres/migrations');
    const { rows } = await client.query<{ exists: boolean }>(
      `SELECT to_regclass('"_prisma_migrations"') IS NOT NULL AS "exists"`,
    );
    const applied = rows[0]?.exists ? await appliedMigrations(client) : [];
    const migrations = pendingMigrations(known, applied).map(({ name }) => name);
    const statements = hasNewerMigrations(known, applied) ? [] : await plan(client);
    return { isNew: applied.length === 0, migrations, statements: statements.map(({ name }) => name) };
  } finally {
    await client.end();
  }
}

async function appliedMigrations(client: pg.Client): Promise<AppliedMigration[]> {
  const { rows } = await client.query<AppliedMigration>(
    `SELECT "migration_name" AS "name", "checksum" FROM "_prisma_migrations"
     WHERE "rolled_back_at" IS NULL ORDER BY "migration_name"`,
  );
  return rows;
}
