import type { Config } from '../config/config.ts';
import { PrismaClient } from '../generated/client/client.ts';
import { Telemetry } from '../telemetry.ts';
import type { Database } from './client.ts';
import { explainFailure, migrateDatabase, type PostMigration, pathOf, sessionUrl } from './migrate.ts';
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
  try {
    await migrateDatabase(config, preparation, observer.report);
    return await (pathOf(config) === null ? openPostgres : openSqlite)(config, observer);
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
  config: Config['database'],
  { onStatement, onCommit, telemetry = new Telemetry() }: DatabaseObserver,
): Promise<OpenDatabase> {
  const path = pathOf(config) ?? '';
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
