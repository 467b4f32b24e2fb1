import { setTimeout as pause } from 'node:timers/promises';
import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3';
import type { SqlDriverAdapter, SqlDriverAdapterFactory, SqlQuery, Transaction } from '@prisma/driver-adapter-utils';
import { Mutex } from 'async-mutex';
import type Sqlite from 'better-sqlite3';
import type { Telemetry } from '../telemetry.ts';
import { SqliteStatements } from './sqlite-statements.ts';
import { measured } from './statement-times.ts';
import { cachePreparedStatements } from './statements.ts';

/**
 * An adapter for Prisma that serialises access to the SQLite connection. Prisma's own adapter shares one connection and runs statements of other requests inside
 * an open transaction while that transaction awaits: its rollback then also undoes their acknowledged writes, and they read uncommitted rows. Here a
 * transaction has exclusive use of the connection. It also begins with the write lock, since a transaction that reads first and writes later
 * fails immediately (`SQLITE_BUSY_SNAPSHOT`), without the busy timeout, when another process wrote in between.
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
    // No busy timeout: while SQLite waits for other processes, it blocks the event loop of this one.
    this.#factory = new PrismaBetterSqlite3({ url: `file:${path}`, timeout: 0 });
  }

  async connect(): Promise<SqlDriverAdapter> {
    const adapter = await this.#factory.connect();
    // The adapter has no public access to its connection.
    const connection = Reflect.get(adapter, 'client') as Sqlite.Database;
    this.#writer = { connection, statements: new SqliteStatements(connection, this.#options.onStatement) };
    cachePreparedStatements(connection);
    const { synchronous, timeoutMs } = this.#options;
    // Another process that opens or closes the file has an exclusive lock while it recovers or removes the write-ahead log.
    await retryWhileBusy(timeoutMs, () =>
      adapter.executeScript(`PRAGMA foreign_keys = ON; PRAGMA synchronous = ${synchronous};`),
    );
    return serialised(adapter, this.#mutex, this.#options);
  }

  /**
   * Runs a write statement; returns its rows once they are committed. Statements that arrive in the same turn of the event loop, or while the connection is
   * in use, share a transaction, since a commit costs more than most statements. A statement that fails undoes its own changes only.
   */
  write(text: string, values: readonly unknown[]): Promise<Row[]> {
    return measured(this.#options.telemetry, text, () => this.#enqueue(text, values));
  }

  #enqueue(text: string, values: readonly unknown[]): Promise<Row[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ text, values, resolve, reject });
      if (this.#waiting.length === 1) {
        setImmediate(() => this.#flushWrites());
      }
    });
  }

  async #flushWrites(): Promise<void> {
    const release = await this.#mutex.acquire();
    const batch = this.#waiting.splice(0, MAX_BATCH);
    if (this.#waiting.length > 0) {
      setImmediate(() => this.#flushWrites());
    }
    try {
      await retryWhileBusy(this.#options.timeoutMs, async () => this.#commit(batch));
    } catch (error) {
      for (const { reject } of batch) {
        reject(error);
      }
    } finally {
      release();
      this.#options.onCommit();
    }
  }

  /** Runs statements in one transaction. An error that it throws means that all were rolled back. */
  #commit(batch: readonly WaitingWrite[]): void {
    const writer = this.#writer;
    if (!writer) {
      throw new Error('The database is not open: call connect() before write().');
    }
    writer.connection.exec('BEGIN IMMEDIATE');
    try {
      const settlements = batch.map(({ text, values, resolve, reject }) => {
        try {
          const rows = writer.statements.run(text, values);
          return () => resolve(rows);
        } catch (error) {
          // SQLite rolls back the whole transaction on some errors, like a full disk.
          if (!writer.connection.inTransaction) {
            throw error;
          }
          return () => reject(error);
        }
      });
      writer.connection.exec('COMMIT');
      for (const settle of settlements) {
        settle();
      }
    } catch (error) {
      if (writer.connection.inTransaction) {
        writer.connection.exec('ROLLBACK');
      }
      throw error;
    }
  }
}

/** The largest number of statements in a shared transaction, which takes a few milliseconds. */
const MAX_BATCH = 64;

type Row = Record<string, unknown>;

/** A queued write statement. */
interface WaitingWrite {
  readonly text: string;
  readonly values: readonly unknown[];
  readonly resolve: (rows: Row[]) => void;
  readonly reject: (error: unknown) => void;
}

export interface SqliteWriterOptions {
  readonly synchronous: 'NORMAL' | 'FULL';
  /** How long a write waits for the write lock of another process, in milliseconds. */
  readonly timeoutMs: number;
  readonly telemetry: Telemetry;
  readonly onStatement: ((sql: string) => void) | undefined;
  /** Called after each commit, and sometimes without one. */
  readonly onCommit: () => void;
}

/** The longest delay between two attempts to take the write lock, in milliseconds. */
const MAX_RETRY_DELAY_MS = 20;

/** Runs a statement that takes the write lock; retries while another process has the lock. */
async function retryWhileBusy<Result>(timeoutMs: number, run: () => Promise<Result>): Promise<Result> {
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(2 * pauseMs, MAX_RETRY_DELAY_MS)) {
    try {
      return await run();
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadline) {
        throw error;
      }
    }
    // Jitter, so that processes do not retry in step.
    await pause(pauseMs * (0.5 + Math.random()));
  }
}

function isBusy(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: { originalCode?: unknown } };
  return [code, cause?.originalCode].some((each) => typeof each === 'string' && each.startsWith('SQLITE_BUSY'));
}

function serialised(
  adapter: SqlDriverAdapter,
  connection: Mutex,
  { timeoutMs, onCommit, telemetry }: SqliteWriterOptions,
): SqlDriverAdapter {
  const runExclusively = async <Result>({ sql }: SqlQuery, run: () => Promise<Result>): Promise<Result> => {
    const result = await measured(telemetry, sql, () => connection.runExclusive(() => retryWhileBusy(timeoutMs, run)));
    if (!sql.startsWith('SELECT')) {
      onCommit();
    }
    return result;
  };
  return {
    provider: adapter.provider,
    adapterName: adapter.adapterName,
    queryRaw: (query) => runExclusively(query, () => adapter.queryRaw(query)),
    executeRaw: (query) => runExclusively(query, () => adapter.executeRaw(query)),
    executeScript: (script) => connection.runExclusive(() => adapter.executeScript(script)),
    startTransaction: async () => {
      const release = await measured(telemetry, 'BEGIN', async () => {
        const done = await connection.acquire();
        try {
          await retryWhileBusy(timeoutMs, () => adapter.executeRaw(statement('BEGIN IMMEDIATE')));
          return done;
        } catch (error) {
          done();
          throw error;
        }
      });
      return transaction(adapter, telemetry, () => {
        release();
        onCommit();
      });
    },
    dispose: () => adapter.dispose(),
  };
}

/** Returns a transaction that releases the connection at its end. Prisma sends `COMMIT` and `ROLLBACK` as statements, and calls `commit` or `rollback` after them. */
function transaction(adapter: SqlDriverAdapter, telemetry: Telemetry, release: () => void): Transaction {
  const done = async () => release();
  return {
    provider: adapter.provider,
    adapterName: adapter.adapterName,
    options: { usePhantomQuery: false },
    queryRaw: (query) => measured(telemetry, query.sql, () => adapter.queryRaw(query)),
    executeRaw: async (query) => {
      try {
        return await measured(telemetry, query.sql, () => adapter.executeRaw(query));
      } catch (error) {
        if (query.sql === 'COMMIT') {
          // A commit that fails (on a full disk, for example) leaves the transaction open, and Prisma sends no `ROLLBACK` after it.
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
