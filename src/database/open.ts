import { mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type Sqlite from 'better-sqlite3';
import type pg from 'pg';
import type { Config } from '../config/config.ts';
import { StartError } from '../errors.ts';
import { PrismaClient } from '../generated/client/client.ts';
import { Telemetry } from '../telemetry.ts';
import type { Database } from './client.ts';
import { migratePostgres } from './migrate-postgres.ts';
import { migrateSqlite } from './migrate-sqlite.ts';
import { createPostgresClient } from './postgres.ts';
import { useConnection } from './rows.ts';
import { sqlBuilder } from './sql-builder.ts';
import { SerialSqliteFactory } from './sqlite.ts';
import { openReader, SQLITE_DIALECT, SqliteStatements } from './sqlite-statements.ts';
import { measuredNow } from './statement-times.ts';

export interface OpenDatabase {
  readonly client: Database;
  /** The absolute path of the SQLite file; null for PostgreSQL. */
  readonly path: string | null;
  readonly close: () => Promise<void>;
}

/** The functions that run after the migrations in the same transaction; they install the triggers of the change log. */
export interface PostMigration {
  readonly sqlite: (database: Sqlite.Database) => void;
  readonly postgres: (client: pg.Client) => Promise<void>;
}

export interface DatabaseObserver {
  /** Called with the text of each SQL statement that the client runs. */
  readonly onStatement?: (sql: string) => void;
  /** Called after each commit of this process, and sometimes without one. */
  readonly onCommit?: () => void;
  /** Receives the duration of each statement, and the numbers of connections. */
  readonly telemetry?: Telemetry;
}

/** Opens the database of the configuration; creates it if it is missing, and applies pending migrations. */
export async function openDatabase(
  config: Config['database'],
  preparation: PostMigration,
  observer: DatabaseObserver = {},
): Promise<OpenDatabase> {
  const isFile = config.url.startsWith('file:');
  try {
    return await (isFile ? openSqlite : openPostgres)(config, preparation, observer);
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
    throw new StartError(
      `The database ${describeTarget(config.url)} cannot be opened: ${reason}. Check DATABASE_URL.`,
      {
        cause: error,
      },
    );
  }
}

/** Returns the location of a database, without the credentials of its URL. */
function describeTarget(url: string): string {
  if (url.startsWith('file:')) {
    return resolve(url.slice('file:'.length));
  }
  const { host, pathname } = URL.canParse(url) ? new URL(url) : { host: '', pathname: '' };
  return `${host}${pathname} on PostgreSQL`;
}

async function openPostgres(
  config: Config['database'],
  { postgres }: PostMigration,
  { onStatement, onCommit = () => undefined, telemetry = new Telemetry() }: DatabaseObserver,
): Promise<OpenDatabase> {
  await migratePostgres(config.url, postgres, config.timeoutMs);
  const client = createPostgresClient({ ...config, onStatement, onCommit, telemetry });
  await client.$connect();
  return { client, path: null, close: () => client.$disconnect() };
}

async function openSqlite(
  config: Config['database'],
  { sqlite }: PostMigration,
  { onStatement, onCommit, telemetry = new Telemetry() }: DatabaseObserver,
): Promise<OpenDatabase> {
  const path = resolve(config.url.slice('file:'.length));
  mkdirSync(dirname(path), { recursive: true });
  migrateSqlite(path, sqlite);
  const { synchronous, timeoutMs } = config;
  const writer = new SerialSqliteFactory(path, {
    synchronous,
    timeoutMs,
    onStatement,
    onCommit: onCommit ?? (() => undefined),
    telemetry,
  });
  const client = new PrismaClient({
    adapter: writer,
    errorFormat: 'minimal',
    transactionOptions: { maxWait: timeoutMs, timeout: timeoutMs },
    log: onStatement ? [{ emit: 'event', level: 'query' }] : [],
  });
  if (onStatement) {
    client.$on('query', (event) => onStatement(event.query));
  }
  await client.$connect();
  const reader = openReader(path);
  const reads = new SqliteStatements(reader, onStatement);
  useConnection(client, {
    dialect: SQLITE_DIALECT,
    builder: sqlBuilder('sqlite'),
    read: (sql, values) => measuredNow(telemetry, sql, () => reads.run(sql, values)),
    write: (sql, values) => writer.write(sql, values),
  });
  return {
    client,
    path,
    close: async () => {
      reader.close();
      await client.$disconnect();
    },
  };
}

/** Returns whether the database answers and has been migrated. */
export async function isReady(client: Database): Promise<boolean> {
  try {
    await client.lease.findFirst({ select: { name: true } });
    return true;
  } catch {
    return false;
  }
}
