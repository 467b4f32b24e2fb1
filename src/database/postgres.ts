import { PrismaPg } from '@prisma/adapter-pg';
import type { SqlDriverAdapter, SqlDriverAdapterFactory, SqlQuery } from '@prisma/driver-adapter-utils';
import pg from 'pg';
import { PrismaClient } from '../generated/postgres-client/client.ts';
import type { Telemetry } from '../telemetry.ts';
import type { Database } from './client.ts';
import { comparable } from './comparable.ts';
import { connectionOf } from './postgres-connection.ts';
import { POSTGRES_DIALECT, PostgresStatements } from './postgres-statements.ts';
import { useConnection } from './rows.ts';
import { sqlBuilder } from './sql-builder.ts';
import { measured } from './statement-times.ts';

/** The `application_name` of connections whose owner announces their commits, so that the log's triggers need not notify. */
export const ANNOUNCING_APPLICATION = 'tidings';

/** How much longer than the server's own time-out the client waits for a statement before it closes the connection, in milliseconds. */
const GRACE_MS = 5_000;
/** How long a transaction may be idle between two statements, in milliseconds. */
const IDLE_IN_TRANSACTION_MS = 5_000;

/** Settings of PostgreSQL, in milliseconds. */
type Timeouts = Readonly<Record<'statement_timeout' | 'idle_in_transaction_session_timeout', number>>;

type PostgresTransaction = Awaited<ReturnType<SqlDriverAdapter['startTransaction']>>;

export interface PostgresOptions {
  readonly url: string;
  /**
   * Whether a pooler may give each transaction another session. Statements then have no names, and the time-outs are set in each transaction instead of at
   * the start of the session.
   */
  readonly isPooled: boolean;
  /** The largest number of connections. */
  readonly poolSize: number;
  /** The time-out of a connection attempt, of a statement, and of an idle transaction, in milliseconds. */
  readonly timeoutMs: number;
  readonly telemetry: Telemetry;
  readonly onStatement?: ((sql: string) => void) | undefined;
  /** Called after each commit, and sometimes without one. */
  readonly onCommit: () => void;
}

/** Returns a client for PostgreSQL with the type and the results of the client for SQLite. */
export function createPostgresClient(options: PostgresOptions): Database {
  const { url, isPooled, poolSize, timeoutMs, onStatement, onCommit, telemetry } = options;
  const timeouts: Timeouts = {
    statement_timeout: timeoutMs,
    // A process that stalls within a transaction holds the horizon, so that no process receives later commits.
    idle_in_transaction_session_timeout: Math.min(timeoutMs, IDLE_IN_TRANSACTION_MS),
  };
  const pool = new pg.Pool({
    ...connectionOf(url),
    application_name: ANNOUNCING_APPLICATION,
    Client: TimeoutClosingClient,
    max: poolSize,
    keepAlive: true,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs + GRACE_MS,
    ...(!isPooled && timeouts),
  });
  telemetry.addGauge({
    name: 'tidings_database_connections',
    help: 'Connections of the pool for PostgreSQL, and callers that wait for one.',
    label: 'state',
    read: () => ({ used: pool.totalCount - pool.idleCount, idle: pool.idleCount, waiting: pool.waitingCount }),
  });
  const factory = new PrismaPg(pool, {
    disposeExternalPool: true,
    // The query that needs a broken connection fails, and the pool opens another connection.
    onPoolError: () => undefined,
    onConnectionError: () => undefined,
  });
  const base = new PrismaClient({
    adapter: reportingCommits(factory, options, isPooled ? timeouts : null),
    errorFormat: 'minimal',
    transactionOptions: { maxWait: timeoutMs, timeout: timeoutMs },
    log: onStatement ? [{ emit: 'event', level: 'query' }] : [],
  });
  if (onStatement) {
    base.$on('query', ({ query }) => onStatement(query));
  }
  const client = base.$extends({
    client: { $isPostgres: true },
    query: { $allModels: { $allOperations: ({ args, query }) => query(withSqliteSemantics(args) as typeof args) } },
  });
  const database = client as unknown as Database;
  const statements = new PostgresStatements(pool, { isPooled, onStatement });
  useConnection(database, {
    dialect: POSTGRES_DIALECT,
    builder: sqlBuilder('postgres'),
    read: (sql, values) => measured(telemetry, sql, () => statements.run(sql, values)),
    write: async (sql, values) => {
      const rows = await measured(telemetry, sql, () => statements.run(sql, values));
      onCommit();
      return rows;
    },
  });
  return database;
}

/** A connection that is closed when a query times out. The pool would otherwise use the unresponsive connection again. */
class TimeoutClosingClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    const query = this.query.bind(this) as (...args: readonly unknown[]) => unknown;
    const closingQuery = (...args: readonly unknown[]): unknown => {
      const answer = query(...args);
      if (answer instanceof Promise) {
        answer.catch((error: Error) => {
          if (error.message === 'Query read timeout') {
            this.end().catch(() => undefined);
          }
        });
      }
      return answer;
    };
    this.query = closingQuery as typeof this.query;
  }
}

type Reports = Pick<PostgresOptions, 'onCommit' | 'telemetry'>;

function reportingCommits(
  factory: SqlDriverAdapterFactory,
  reports: Reports,
  timeouts: Timeouts | null,
): SqlDriverAdapterFactory {
  return {
    provider: factory.provider,
    adapterName: factory.adapterName,
    connect: async () => reportCommits(await factory.connect(), reports, timeouts),
  };
}

function reportCommits(
  adapter: SqlDriverAdapter,
  { onCommit, telemetry }: Reports,
  timeouts: Timeouts | null,
): SqlDriverAdapter {
  const queryRaw = adapter.queryRaw.bind(adapter);
  const executeRaw = adapter.executeRaw.bind(adapter);
  const startTransaction = adapter.startTransaction.bind(adapter);
  const runAndReport = async <Result>({ sql }: SqlQuery, run: () => Promise<Result>): Promise<Result> => {
    const result = await measured(telemetry, sql, run);
    if (!sql.startsWith('SELECT')) {
      onCommit();
    }
    return result;
  };
  return Object.assign(adapter, {
    queryRaw: (query: SqlQuery) => runAndReport(query, () => queryRaw(query)),
    executeRaw: (query: SqlQuery) => runAndReport(query, () => executeRaw(query)),
    startTransaction: async (...options: Parameters<typeof startTransaction>) => {
      const transaction = await measured(telemetry, 'BEGIN', () => startTransaction(...options));
      if (timeouts) {
        await setTimeouts(transaction, timeouts);
      }
      const commit = transaction.commit.bind(transaction);
      const query = transaction.queryRaw.bind(transaction);
      const execute = transaction.executeRaw.bind(transaction);
      return Object.assign(transaction, {
        queryRaw: (statement: SqlQuery) => measured(telemetry, statement.sql, () => query(statement)),
        executeRaw: (statement: SqlQuery) => measured(telemetry, statement.sql, () => execute(statement)),
        // Prisma sends `COMMIT` as a statement and calls this function after it.
        commit: async () => {
          await commit();
          onCommit();
        },
      });
    },
  });
}

/** Sets time-outs that end with the transaction. */
async function setTimeouts(transaction: PostgresTransaction, timeouts: Timeouts): Promise<void> {
  const sql = Object.entries(timeouts).map(([name, value]) => `SET LOCAL ${name} = ${value}`);
  try {
    await transaction.executeRaw({ sql: sql.join('; '), args: [], argTypes: [] });
  } catch (error) {
    await transaction.rollback();
    throw error;
  }
}

/** Returns a query with the semantics that it has on SQLite: `contains` ignores the case of ASCII letters, and its text has no escape character. */
function withSqliteSemantics(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(withSqliteSemantics);
  }
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) {
    return comparable(value);
  }
  const copy: Record<string, unknown> = Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, withSqliteSemantics(part)]),
  );
  if (typeof copy['contains'] === 'string') {
    copy['contains'] = copy['contains'].replaceAll('\\', '\\\\');
    // The collation of the columns folds ASCII letters only.
    copy['mode'] = 'insensitive';
  }
  return copy;
}
