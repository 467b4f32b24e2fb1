import Sqlite from 'better-sqlite3';
import { type Expression, sql } from 'kysely';
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
  typed: (value) => sql`${value}`,
  // One transaction writes at a time.
  locksRows: false,
  encodeList: (values) => JSON.stringify(values),
  isIn: (column, list) => sql<boolean>`${column} in (select "value" from json_each(${list}))`,
  listed: (list) => sql`(select "value", "key" as "place" from json_each(${list}))`,
  // A list is read from its beginning to its end, and the rows that are looked up by it come in its order.
  concatenated: (text, separator) => sql`group_concat(${text}, ${separator})`,
  collected: (column) => sql`json_group_array(${column})`,
  // Columns hold values of any type.
  json: {
    text: (column) => sql`case typeof(${column}) when 'text' then json_quote(${column}) end`,
    integer: (column) => sql`case typeof(${column}) when 'integer' then ${column} end`,
    time: (column) => sql`case when ${column} glob '????-??-??T??:??:??.???+00:00'
      then case substr(${column}, 20, 4) when '.000' then substr(${column}, 1, 19) else substr(${column}, 1, 23) || '000' end
      else replace(strftime('%Y-%m-%dT%H:%M:%f000', ${unixSeconds(column)}, 'unixepoch'), '.000000', '') end || 'Z'`,
  },
};

/** Times that others wrote, as SQLite and Prisma know them: a text, or a number of milliseconds. */
function unixSeconds(column: Expression<unknown>): Expression<unknown> {
  return sql`case typeof(${column}) when 'integer' then ${column} / 1000.0 else unixepoch(${column}, 'subsec') end`;
}

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
