import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../config/config.ts';
import { PrismaClient } from '../generated/client/client.ts';
import { Telemetry } from '../telemetry.ts';
import type { Database } from './client.ts';
import { sqlitePathOf } from './location.ts';
import { explainFailure, migrateDatabase, type PostMigration, sessionUrl } from './migrate.ts';
import { openMigrated } from './migrate-sqlite.ts';
import type { MigrationReport } from './migrations.ts';
import { createPostgresClient } from './postgres.ts';
import { checkPooler } from './postgres-pooler.ts';
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

export interface DatabaseObserver {
  /** Called with the text of each SQL statement that the client runs. */
  readonly onStatement?: (sql: string) => void;
  /** Called after each commit of this process, and sometimes without one. */
  readonly onCommit?: () => void;
  /** Receives the duration of each statement, and the numbers of connections. */
  readonly telemetry?: Telemetry;
  /** Called with what the migration of the database does or waits for, and with warnings about its settings. */
  readonly report?: MigrationReport;
}

/** Opens the database of the configuration; creates it if it is missing, and applies pending migrations. */
export async function openDatabase(
  config: Config['database'],
  preparation: PostMigration,
  observer: DatabaseObserver = {},
): Promise<OpenDatabase> {
  const path = sqlitePathOf(config.url);
  try {
    if (path !== null) {
      return await openSqlite(path, config, preparation.sqlite, observer);
    }
    await migrateDatabase(config, preparation, observer.report);
    return await openPostgres(config, observer);
  } catch (error) {
    throw explainFailure(config, error);
  }
}

async function openPostgres(
  config: Config['database'],
  { onStatement, onCommit = () => undefined, telemetry = new Telemetry(), report }: DatabaseObserver,
): Promise<OpenDatabase> {
  const isPooled = config.directUrl !== null;
  if (isPooled) {
    await checkPooler(config, sessionUrl(config), report);
  }
  const client = createPostgresClient({ ...config, isPooled, onStatement, onCommit, telemetry });
  await client.$connect();
  return { client, path: null, close: () => client.$disconnect() };
}

async function openSqlite(
  path: string,
  config: Config['database'],
  plan: PostMigration['sqlite'],
  observer: DatabaseObserver,
): Promise<OpenDatabase> {
  mkdirSync(dirname(path), { recursive: true });
  // It stays open, so that the file cannot be replaced between the migrations and the first use of the other connections.
  const { database: guard } = openMigrated(path, plan, observer.report);
  try {
    const { client, close } = await connectSqlite(path, config, observer);
    return { client, path, close: () => close().finally(() => guard.close()) };
  } catch (error) {
    guard.close();
    throw error;
  }
}

async function connectSqlite(
  path: string,
  { synchronous, timeoutMs }: Config['database'],
  { onStatement, onCommit, telemetry = new Telemetry() }: DatabaseObserver,
): Promise<Pick<OpenDatabase, 'client' | 'close'>> {
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
