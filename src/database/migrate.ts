import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../config/config.ts';
import { StartError } from '../errors.ts';
import { describeLocation, sqlitePathOf } from './location.ts';
import { checkPostgres, migratePostgres, type PostgresPlan } from './migrate-postgres.ts';
import { checkSqlite, migrateSqlite, type SqlitePlan } from './migrate-sqlite.ts';
import type { MigrationReport, MigrationStatus } from './migrations.ts';
import { MovedDatabaseError } from './moves.ts';
import { explainConnectionFailure } from './postgres-connection.ts';

/** The functions that return the statements that are missing after the migrations: the triggers of the change log and of the search index. */
export interface PostMigration {
  readonly sqlite: SqlitePlan;
  readonly postgres: PostgresPlan;
}

type DatabaseConfig = Config['database'];

/** Returns the URL at which a connection keeps its session: not that of a pooler, which gives each transaction another one. */
export function sessionUrl({ url, directUrl }: Pick<DatabaseConfig, 'url' | 'directUrl'>): string {
  return directUrl ?? url;
}

/** Migrates the database of the configuration; creates a SQLite file that is missing. Returns what was done. */
export async function migrateDatabase(
  config: DatabaseConfig,
  plan: PostMigration,
  report: MigrationReport = () => undefined,
): Promise<MigrationStatus> {
  const path = sqlitePathOf(config.url);
  if (path === null) {
    const { timeoutMs, migrationLockTimeoutMs: lockWaitMs } = config;
    return migratePostgres(sessionUrl(config), plan.postgres, {
      timeoutMs,
      lockWaitMs,
      report,
      isServed: true,
    });
  }
  mkdirSync(dirname(path), { recursive: true });
  return migrateSqlite(path, plan.sqlite, report);
}

/** Returns what {@link migrateDatabase} would do, without changing anything. */
export async function checkMigrations(config: DatabaseConfig, plan: PostMigration): Promise<MigrationStatus> {
  const path = sqlitePathOf(config.url);
  return path === null ? checkPostgres(sessionUrl(config), plan.postgres, config) : checkSqlite(path, plan.sqlite);
}

/** Returns the error of a database that cannot be used, with the reason and what to do, and without the credentials of its URL. */
export function explainFailure(config: DatabaseConfig, error: unknown): StartError {
  const target = describeLocation(sessionUrl(config));
  if (error instanceof StartError && (error instanceof MovedDatabaseError || error.message.includes(target))) {
    return error;
  }
  const reason = explainConnectionFailure(error).replace(/\.$/, '');
  // A StartError says what to do.
  const advice = error instanceof StartError ? '' : ' Check DATABASE_URL.';
  return new StartError(`The database ${target} cannot be opened: ${reason}.${advice}`, { cause: error });
}
