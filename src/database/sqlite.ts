import { setTimeout as pause } from 'node:timers/promises';
import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3';
import type { SqlDriverAdapter, SqlDriverAdapterFactory, SqlQuery, Transaction } from '@prisma/driver-adapter-utils';
import { Mutex } from 'async-mutex';
import type Sqlite from 'better-sqlite3';
import { SqliteStatements } from './sqlite-statements.ts';
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
  readonly #options: SqliteWriterOptions;
  readonly #mutex = new Mutex();
  readonly #waiting: WaitingWrite[] = [];
  #writer: { readonly connection: Sqlite.Database; readonly statements: SqliteStatements } | null = null;

  constructor(path: string, options: SqliteWriterOptions) {
    this.#options = options;
    // SQLite would wait for other processes by stopping this one.
    this.#factory = new PrismaBetterSqlite3({ url: `file:${path}`, timeout: 0 });
  }

  async connect(): Promise<SqlDriverAdapter> {
    const adapter = await this.#factory.connect();
    // The adapter does not hand out its connection in any other way.
    const connection = Reflect.get(adapter, 'client') as Sqlite.Database;
    this.#writer = { connection, statements: new SqliteStatements(connection, this.#options.onStatement) };
    keepStatements(connection);
    const { synchronous, timeoutMs } = this.#options;
    // Another process that starts or stops at this moment has the file to itself while it recovers or removes the write-ahead log.
    await whenFree(timeoutMs, () =>
      adapter.executeScript(`PRAGMA foreign_keys = ON; PRAGMA synchronous = ${synchronous};`),
    );
    return serialise(adapter, this.#mutex, this.#options);
  }

  /**
   * Runs a statement that writes; returns the rows that it returns, once they are committed. Statements that come in the same turn of the event loop, or while
   * the connection is taken, share a transaction, since a commit costs more than most of them; one that fails takes back only what it did itself.
   */
  write(text: string, values: readonly unknown[]): Promise<Row[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ text, values, resolve, reject });
      if (this.#waiting.length === 1) {
        setImmediate(() => this.#writeAll());
      }
    });
  }

  async #writeAll(): Promise<void> {
    const release = await this.#mutex.acquire();
    const batch = this.#waiting.splice(0, MAX_BATCH);
    if (this.#waiting.length > 0) {
      setImmediate(() => this.#writeAll());
    }
    try {
      await whenFree(this.#options.timeoutMs, async () => this.#commit(batch));
    } catch (error) {
      for (const { reject } of batch) {
        reject(error);
      }
    } finally {
      release();
      this.#options.onCommit();
    }
  }

  /** Carries out statements in one transaction. Throws when nothing of it has happened. */
  #commit(batch: readonly WaitingWrite[]): void {
    const writer = this.#writer;
    if (!writer) {
      throw new Error('The database is not open.');
    }
    writer.connection.exec('BEGIN IMMEDIATE');
    try {
      const settle = batch.map(({ text, values, resolve, reject }) => {
        try {
          const rows = writer.statements.run(text, values);
          return () => resolve(rows);
        } catch (error) {
          // Some failures, like a full disk, end the whole transaction.
          if (!writer.connection.inTransaction) {
            throw error;
          }
          return () => reject(error);
        }
      });
      writer.connection.exec('COMMIT');
      for (const each of settle) {
        each();
      }
    } catch (error) {
      if (writer.connection.inTransaction) {
        writer.connection.exec('ROLLBACK');
      }
      throw error;
    }
  }
}

/** How many statements share a transaction at the most: as many as take a few milliseconds. */
const MAX_BATCH = 64;

type Row = Record<string, unknown>;

/** A statement that waits for its turn. */
interface WaitingWrite {
  readonly text: string;
  readonly values: readonly unknown[];
  readonly resolve: (rows: Row[]) => void;
  readonly reject: (error: unknown) => void;
}

export interface SqliteWriterOptions {
  readonly synchronous: 'NORMAL' | 'FULL';
  /** How long a write waits for another process that writes, in milliseconds. */
  readonly timeoutMs: number;
  readonly onStatement: ((sql: string) => void) | undefined;
  /** Called after every commit, and sometimes without one. */
  readonly onCommit: () => void;
}

/** The longest pause between two attempts to write while another process does, in milliseconds. */
const MAX_PAUSE_MS = 20;

/** Runs a statement that takes the write lock, again and again while another process has it. */
async function whenFree<Result>(timeoutMs: number, run: () => Promise<Result>): Promise<Result> {
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
    try {
      return await run();
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadline) {
        throw error;
      }
    }
    // At random, so that processes do not try in step.
    await pause(pauseMs * (0.5 + Math.random()));
  }
}

function isBusy(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: { originalCode?: unknown } };
  return [code, cause?.originalCode].some((each) => typeof each === 'string' && each.startsWith('SQLITE_BUSY'));
}

function serialise(
  adapter: SqlDriverAdapter,
  connection: Mutex,
  { timeoutMs, onCommit }: SqliteWriterOptions,
): SqlDriverAdapter {
  const alone = async <Result>({ sql }: SqlQuery, run: () => Promise<Result>): Promise<Result> => {
    const result = await connection.runExclusive(() => whenFree(timeoutMs, run));
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
        await whenFree(timeoutMs, () => adapter.executeRaw(statement('BEGIN IMMEDIATE')));
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
