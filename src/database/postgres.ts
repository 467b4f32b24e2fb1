import { PrismaPg } from '@prisma/adapter-pg';
import type { SqlDriverAdapter, SqlDriverAdapterFactory, SqlQuery } from '@prisma/driver-adapter-utils';
import pg from 'pg';
import { PrismaClient } from '../generated/postgres-client/client.ts';
import { comparable } from './comparable.ts';
import { sqlBuilder } from './compiled-statements.ts';
import type { Database } from './open.ts';
import { POSTGRES_DIALECT, PostgresStatements } from './postgres-statements.ts';
import { useConnection } from './rows.ts';

/** The `application_name` of connections whose owner tells of their commits: the log's triggers need not. */
export const ANNOUNCING_APPLICATION = 'tidings';

/** How much longer than the server itself a statement may take before its connection counts as dead, in milliseconds. */
const GRACE_MS = 5_000;
/** How long a transaction may rest between two statements, in milliseconds. */
const IDLE_IN_TRANSACTION_MS = 5_000;

export interface PostgresOptions {
  readonly url: string;
  /** How many connections this client has at the most. */
  readonly poolSize: number;
  /** How long a connection attempt, a statement, or a transaction's wait for its next one may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly onStatement?: ((sql: string) => void) | undefined;
  /** Called after every commit, and sometimes without one. */
  readonly onCommit: () => void;
}

/** A client for PostgreSQL, of the same shape and with the same results as the one for SQLite. */
export function createPostgresClient({ url, poolSize, timeoutMs, onStatement, onCommit }: PostgresOptions): Database {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: ANNOUNCING_APPLICATION,
    Client: MortalClient,
    max: poolSize,
    keepAlive: true,
    connectionTimeoutMillis: timeoutMs,
    statement_timeout: timeoutMs,
    query_timeout: timeoutMs + GRACE_MS,
    // A process that stands still in the middle of a transaction keeps back what all others have committed since.
    idle_in_transaction_session_timeout: Math.min(timeoutMs, IDLE_IN_TRANSACTION_MS),
  });
  const factory = new PrismaPg(pool, {
    disposeExternalPool: true,
    // A connection that breaks is reported by the query that needs it; the pool makes another one.
    onPoolError: () => undefined,
    onConnectionError: () => undefined,
  });
  const base = new PrismaClient({
    adapter: tellingCommits(factory, onCommit),
    errorFormat: 'minimal',
    transactionOptions: { maxWait: timeoutMs, timeout: timeoutMs },
    log: onStatement ? [{ emit: 'event', level: 'query' }] : [],
  });
  if (onStatement) {
    base.$on('query', ({ query }) => onStatement(query));
  }
  const client = base.$extends({
    client: { $isPostgres: true },
    query: { $allModels: { $allOperations: ({ args, query }) => query(likeSqlite(args) as typeof args) } },
  });
  const database = client as unknown as Database;
  const statements = new PostgresStatements(pool, onStatement);
  useConnection(database, {
    dialect: POSTGRES_DIALECT,
    builder: sqlBuilder('postgres'),
    read: (sql, values) => statements.run(sql, values),
    write: async (sql, values) => {
      const rows = await statements.run(sql, values);
      onCommit();
      return rows;
    },
  });
  return database;
}

/** A connection that ends when its server has not answered in time, rather than to wait in the pool for another turn. */
class MortalClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    const query = this.query.bind(this) as (...args: readonly unknown[]) => unknown;
    const mortal = (...args: readonly unknown[]): unknown => {
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
    this.query = mortal as typeof this.query;
  }
}

function tellingCommits(factory: SqlDriverAdapterFactory, onCommit: () => void): SqlDriverAdapterFactory {
  return {
    provider: factory.provider,
    adapterName: factory.adapterName,
    connect: async () => tellCommits(await factory.connect(), onCommit),
  };
}

function tellCommits(adapter: SqlDriverAdapter, onCommit: () => void): SqlDriverAdapter {
  const queryRaw = adapter.queryRaw.bind(adapter);
  const executeRaw = adapter.executeRaw.bind(adapter);
  const startTransaction = adapter.startTransaction.bind(adapter);
  const thenTell = async <Result>({ sql }: SqlQuery, result: Promise<Result>): Promise<Result> => {
    await result;
    if (!sql.startsWith('SELECT')) {
      onCommit();
    }
    return result;
  };
  return Object.assign(adapter, {
    queryRaw: (query: SqlQuery) => thenTell(query, queryRaw(query)),
    executeRaw: (query: SqlQuery) => thenTell(query, executeRaw(query)),
    startTransaction: async (...options: Parameters<typeof startTransaction>) => {
      const transaction = await startTransaction(...options);
      const commit = transaction.commit.bind(transaction);
      return Object.assign(transaction, {
        // Prisma sends `COMMIT` as a statement; this only tells that it is done with the transaction.
        commit: async () => {
          await commit();
          onCommit();
        },
      });
    },
  });
}

/** Makes a query mean what it means on SQLite: `contains` finds ASCII letters in either case, and no character in it escapes another one. */
function likeSqlite(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(likeSqlite);
  }
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) {
    return comparable(value);
  }
  const copy: Record<string, unknown> = Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, likeSqlite(part)]),
  );
  if (typeof copy['contains'] === 'string') {
    copy['contains'] = copy['contains'].replaceAll('\\', '\\\\');
    // More letters than those of ASCII the columns' collation does not fold.
    copy['mode'] = 'insensitive';
  }
  return copy;
}
