import { sql } from 'kysely';
import type pg from 'pg';
import type { ColumnKind } from './columns.ts';
import type { SqlDialect } from './condition-sql.ts';

const TYPES: Readonly<Record<ColumnKind, string>> = {
  Int: 'integer',
  BigInt: 'bigint',
  String: 'text',
  Boolean: 'boolean',
  DateTime: 'timestamptz',
  Bytes: 'bytea',
};

export const POSTGRES_DIALECT: SqlDialect = {
  encode: (value) => value,
  typed: (value, kind) => sql`cast(${value} as ${sql.raw(TYPES[kind])})`,
  locksRows: true,
  encodeList: (values) => values,
  isIn: (column, list) => sql<boolean>`${column} = any(${list})`,
  // For `in`, PostgreSQL compares every row of the table with the result of the subquery.
  isAmong: (column, subquery) => sql<boolean>`${column} = any(array(${subquery}))`,
  listed: (list) =>
    sql`(select "value", "place" from unnest(${list}::integer[]) with ordinality as "list"("value", "place"))`,
  concatenated: (text, separator, place) => sql`string_agg(${text}, ${separator} order by ${place})`,
  collected: (column) => sql`json_agg(${column})`,
  json: {
    text: (column) => sql`to_json(${column})::text`,
    integer: (column) => sql`${column}::text`,
    time: (column) =>
      sql`replace(to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z')`,
  },
};

/** The number of statements that a connection prepares: more than a busy server uses. They take memory of PostgreSQL until the connection is closed. */
const MAX_NAMED = 500;

export interface StatementOptions {
  /** Whether a pooler may give each statement another session, in which no statement was prepared. */
  readonly isPooled?: boolean;
  readonly onStatement?: ((sql: string) => void) | undefined;
}

/** Runs statements, each of which every connection of the pool prepares once; not behind a pooler. */
export class PostgresStatements {
  readonly #pool: pg.Pool;
  readonly #maxNamed: number;
  readonly #onStatement: (sql: string) => void;
  /** The names of the prepared statements by their text. */
  readonly #names = new Map<string, string>();

  constructor(pool: pg.Pool, { isPooled = false, onStatement = () => undefined }: StatementOptions = {}) {
    this.#pool = pool;
    this.#maxNamed = isPooled ? 0 : MAX_NAMED;
    this.#onStatement = onStatement;
  }

  async run(text: string, values: readonly unknown[]): Promise<Record<string, unknown>[]> {
    this.#onStatement(text);
    const name = this.#nameOf(text);
    const { rows } = await this.#pool.query<Record<string, unknown>>({
      ...(name !== undefined && { name }),
      text,
      values: values as unknown[],
    });
    return rows;
  }

  /** Returns the name of a prepared statement; undefined when enough others have names, so that the statement is parsed each time. */
  #nameOf(text: string): string | undefined {
    const present = this.#names.get(text);
    if (present !== undefined || this.#names.size >= this.#maxNamed) {
      return present;
    }
    const name = `tidings_${this.#names.size}`;
    this.#names.set(text, name);
    return name;
  }
}
