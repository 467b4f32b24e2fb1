import Sqlite from 'better-sqlite3';
import { type Expression, sql } from 'kysely';
import type { SqlDialect } from './condition-sql.ts';
import { BUSY_TIMEOUT_MS } from './migrate-sqlite.ts';
import { statementCache } from './statements.ts';

type Statement = Sqlite.Statement<unknown[], Record<string, unknown>>;

export const SQLITE_DIALECT: SqlDialect = {
  encode: (value) => {
    if (typeof value === 'boolean') {
      return Number(value);
    }
    // The format in which Prisma writes times.
    return value instanceof Date ? value.toISOString().replace('Z', '+00:00') : value;
  },
  typed: (value) => sql`${value}`,
  // SQLite has no row locks: one transaction writes at a time.
  locksRows: false,
  encodeList: (values) => JSON.stringify(values),
  isIn: (column, list) => sql<boolean>`${column} in (select "value" from json_each(${list}))`,
  isAmong: (column, subquery) => sql<boolean>`${column} in (${subquery})`,
  listed: (list) => sql`(select "value", "key" as "place" from json_each(${list}))`,
  // `json_each` returns the list in its order, and the join looks up the rows in that order.
  concatenated: (text, separator) => sql`group_concat(${text}, ${separator})`,
  collected: (column) => sql`json_group_array(${column})`,
  // SQLite stores values of any type in any column.
  json: {
    text: (column) => sql`case typeof(${column}) when 'text' then json_quote(${column}) end`,
    integer: (column) => sql`case typeof(${column}) when 'integer' then ${column} end`,
    time: (column) => sql`case when ${column} glob '????-??-??T??:??:??.???+00:00'
      then case substr(${column}, 20, 4) when '.000' then substr(${column}, 1, 19) else substr(${column}, 1, 23) || '000' end
      else replace(strftime('%Y-%m-%dT%H:%M:%f000', ${unixSeconds(column)}, 'unixepoch'), '.000000', '') end || 'Z'`,
  },
};

/** Returns the SQL of a time as Unix seconds. SQLite and Prisma accept times that other programs wrote as a text or as a number of milliseconds. */
function unixSeconds(column: Expression<unknown>): Expression<unknown> {
  return sql`case typeof(${column}) when 'integer' then ${column} / 1000.0 else unixepoch(${column}, 'subsec') end`;
}

/** Runs statements over a connection and prepares each of them once. */
export class SqliteStatements {
  readonly #prepare: (text: string) => Statement;
  readonly #onStatement: (sql: string) => void;
  readonly #prepared = statementCache<Statement>();

  constructor(connection: Sqlite.Database, onStatement: (sql: string) => void = () => undefined) {
    const prepare = connection.prepare.bind(connection) as (text: string) => Statement;
    this.#prepare = (text) => prepare(text).safeIntegers(false);
    this.#onStatement = onStatement;
  }

  /** Runs a statement; returns its rows. */
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

/** Opens a read-only connection to a SQLite file. It waits for no transaction and reads committed rows. */
export function openReader(path: string): Sqlite.Database {
  return new Sqlite(path, { readonly: true, timeout: BUSY_TIMEOUT_MS });
}
