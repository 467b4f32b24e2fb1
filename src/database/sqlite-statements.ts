import Sqlite from 'better-sqlite3';
import { sql } from 'kysely';
import { LRUCache } from 'lru-cache';
import type { SqlDialect } from './condition-sql.ts';
import { BUSY_TIMEOUT_MS } from './migrate-sqlite.ts';

/** How many statements a connection keeps prepared: more than a busy server uses, and some megabytes of memory. */
const MAX_PREPARED = 500;

type Statement = Sqlite.Statement<unknown[], Record<string, unknown>>;

export const SQLITE_DIALECT: SqlDialect = {
  encode: (value) => {
    if (typeof value === 'boolean') {
      return Number(value);
    }
    // As Prisma writes times.
    return value instanceof Date ? value.toISOString().replace('Z', '+00:00') : value;
  },
  encodeList: (values) => JSON.stringify(values),
  isIn: (column, list) => sql<boolean>`${column} in (select "value" from json_each(${list}))`,
};

/** The statements of a connection, each prepared once. */
export class SqliteStatements {
  readonly #prepare: (text: string) => Statement;
  readonly #onStatement: (sql: string) => void;
  readonly #prepared = new LRUCache<string, Statement>({ max: MAX_PREPARED });

  constructor(connection: Sqlite.Database, onStatement: (sql: string) => void = () => undefined) {
    const prepare = connection.prepare.bind(connection) as (text: string) => Statement;
    this.#prepare = (text) => prepare(text).safeIntegers(false);
    this.#onStatement = onStatement;
  }

  /** Runs a statement; returns the rows that it gives. */
  run(text: string, values: readonly unknown[]): Record<string, unknown>[] {
    this.#onStatement(text);
    let statement = this.#prepared.get(text);
    if (!statement) {
      statement = this.#prepare(text);
      this.#prepared.set(text, statement);
    }
    return statement.all(values as unknown[]);
  }
}

/** Opens a connection to a SQLite file that only reads: no transaction keeps it waiting, and it sees what is committed. */
export function openReader(path: string): Sqlite.Database {
  return new Sqlite(path, { readonly: true, timeout: BUSY_TIMEOUT_MS });
}
