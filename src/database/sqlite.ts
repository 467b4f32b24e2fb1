import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3';
import type { SqlDriverAdapter, SqlDriverAdapterFactory, SqlQuery, Transaction } from '@prisma/driver-adapter-utils';
import { Mutex } from 'async-mutex';
import type Sqlite from 'better-sqlite3';
import { BUSY_TIMEOUT_MS } from './migrate-sqlite.ts';
import { keepStatements } from './statements.ts';

/**
 * Prisma's own adapter shares one connection and lets statements from outside a transaction slip into it while it waits: a rollback then
 * takes acknowledged writes of other requests along, and readers see what was never committed. This one lets a transaction have the
 * connection to itself. It also begins with the write lock, since a transaction that reads first and writes later
 * fails at once (`SQLITE_BUSY_SNAPSHOT`) when another process wrote in between, without waiting for the busy timeout.
 */
export class SerialSqliteFactory implements SqlDriverAdapterFactory {
  readonly provider = 'sqlite';
  readonly adapterName = 'tidings-serial-sqlite';
  readonly #factory: PrismaBetterSqlite3;
  readonly #synchronous: 'NORMAL' | 'FULL';

  readonly #onCommit: () => void;

  /** `onCommit` is called after every commit, and sometimes without one. */
  constructor(path: string, synchronous: 'NORMAL' | 'FULL', onCommit: () => void) {
    this.#onCommit = onCommit;
    this.#factory = new PrismaBetterSqlite3({ url: `file:${path}`, timeout: BUSY_TIMEOUT_MS });
    this.#synchronous = synchronous;
  }

  async connect(): Promise<SqlDriverAdapter> {
    const adapter = await this.#factory.connect();
    // The adapter does not hand out its connection in any other way.
    keepStatements(Reflect.get(adapter, 'client') as Sqlite.Database);
    await adapter.executeScript(`PRAGMA foreign_keys = ON; PRAGMA synchronous = ${this.#synchronous};`);
    return serialise(adapter, this.#onCommit);
  }
}

function serialise(adapter: SqlDriverAdapter, onCommit: () => void): SqlDriverAdapter {
  const connection = new Mutex();
  const alone = async <Result>({ sql }: SqlQuery, run: () => Promise<Result>): Promise<Result> => {
    const result = await connection.runExclusive(run);
    if (!sql.startsWith('SELECT')) {
      onCommit();
    }
    return result;
  };
  return {
    provider: adapter.provider,
    adapterName: adapter.adapterName,
    queryRaw: (query) => alone(query, () => adapter.queryRaw(query)),
    executeRaw: (query) => alone(query, () => adapter.executeRaw(query)),
    executeScript: (script) => connection.runExclusive(() => adapter.executeScript(script)),
    startTransaction: async () => {
      const release = await connection.acquire();
      try {
        await adapter.executeRaw(statement('BEGIN IMMEDIATE'));
      } catch (error) {
        release();
        throw error;
      }
      return transaction(adapter, () => {
        release();
        onCommit();
      });
    },
    dispose: () => adapter.dispose(),
  };
}

/** Prisma sends `COMMIT` and `ROLLBACK` as statements; `commit` and `rollback` only tell that it is done with the transaction. */
function transaction(adapter: SqlDriverAdapter, release: () => void): Transaction {
  const done = async () => release();
  return {
    provider: adapter.provider,
    adapterName: adapter.adapterName,
    options: { usePhantomQuery: false },
    queryRaw: (query) => adapter.queryRaw(query),
    executeRaw: async (query) => {
      try {
        return await adapter.executeRaw(query);
      } catch (error) {
        if (query.sql === 'COMMIT') {
          // A commit that fails (a full disk, say) leaves the transaction open, and Prisma sends nothing after it.
          await adapter.executeRaw(statement('ROLLBACK')).catch(() => undefined);
        }
        throw error;
      }
    },
    commit: done,
    rollback: done,
  };
}

function statement(sql: string): SqlQuery {
  return { sql, args: [], argTypes: [] };
}
