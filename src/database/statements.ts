import type Sqlite from 'better-sqlite3';
import { LRUCache } from 'lru-cache';

/** The bound of the prepared statements of a connection, in bytes: about 600 statements, more than a busy server uses. */
const MAX_BYTES = 8 * 1024 * 1024;
/** The measured memory of a prepared statement, and of each character of its text. */
const STATEMENT_BYTES = 7_000;
const BYTES_PER_CHARACTER = 16;

interface Prepared {
  readonly statement: Sqlite.Statement<unknown[], unknown>;
  /** The result columns, read at the first use, since that takes as long as a small query. */
  columns: Sqlite.ColumnDefinition[] | null;
}

/** Returns a cache for the prepared statements of a connection by their texts, bounded in bytes. */
export function statementCache<Statement extends object>(): LRUCache<string, Statement> {
  return new LRUCache({
    maxSize: MAX_BYTES,
    sizeCalculation: (_statement, text) => STATEMENT_BYTES + text.length * BYTES_PER_CHARACTER,
  });
}

/**
 * Replaces `prepare` of a connection by a function with a cache. Prisma's adapter prepares a statement for each query, which costs time, and memory that the
 * garbage collector does not account for.
 */
export function cachePreparedStatements(client: Sqlite.Database): void {
  const prepare = client.prepare.bind(client) as (sql: string) => Prepared['statement'];
  const cache = statementCache<Prepared>();
  const prepareCached = (sql: string): CachedStatement => {
    let prepared = cache.get(sql);
    if (!prepared) {
      prepared = { statement: prepare(sql), columns: null };
      cache.set(sql, prepared);
    }
    return new CachedStatement(prepared);
  };
  Object.assign(client, { prepare: prepareCached });
}

/** One use of a prepared statement, with the methods that the adapter calls. It stores the values itself, since `bind` of better-sqlite3 is permanent. */
class CachedStatement {
  readonly #prepared: Prepared;
  #values: unknown[] = [];

  constructor(prepared: Prepared) {
    this.#prepared = prepared;
  }

  get reader(): boolean {
    return this.#prepared.statement.reader;
  }

  bind(values: unknown[]): this {
    this.#values = values;
    return this;
  }

  columns(): Sqlite.ColumnDefinition[] {
    this.#prepared.columns ??= this.#prepared.statement.columns();
    return this.#prepared.columns;
  }

  raw(): this {
    this.#prepared.statement.raw(true);
    return this;
  }

  all(): unknown[] {
    return this.#prepared.statement.all(this.#values);
  }

  run(): Sqlite.RunResult {
    return this.#prepared.statement.run(this.#values);
  }
}
