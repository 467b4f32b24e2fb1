import { sql } from 'kysely';
import type pg from 'pg';
import type { SqlDialect } from './condition-sql.ts';

export const POSTGRES_DIALECT: SqlDialect = {
  encode: (value) => value,
  encodeList: (values) => values,
  isIn: (column, list) => sql<boolean>`${column} = any(${list})`,
};

/** Runs statements that each connection to PostgreSQL prepares once. */
export class PostgresStatements {
  readonly #pool: pg.Pool;
  readonly #onStatement: (sql: string) => void;
  /** The names under which connections prepare statements; as many as there are shapes, which are bounded. */
  readonly #names = new Map<string, string>();

  constructor(pool: pg.Pool, onStatement: (sql: string) => void = () => undefined) {
    this.#pool = pool;
    this.#onStatement = onStatement;
  }

  async run(text: string, values: readonly unknown[]): Promise<Record<string, unknown>[]> {
    this.#onStatement(text);
    let name = this.#names.get(text);
    if (name === undefined) {
      name = `tidings_${this.#names.size}`;
      this.#names.set(text, name);
    }
    const { rows } = await this.#pool.query<Record<string, unknown>>({ name, text, values: values as unknown[] });
    return rows;
  }
}
