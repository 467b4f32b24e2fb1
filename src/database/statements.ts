import type Sqlite from 'better-sqlite3';

/** How many statements a connection keeps prepared: more than a busy server uses, and some megabytes of memory. */
const MAX_KEPT = 500;

type Statement = Sqlite.Statement<unknown[], unknown>;

/**
 * Has a connection prepare each statement once and keep it. Prisma's adapter prepares anew for every query, which costs time, and memory that
 * the garbage collector knows nothing of.
 */
export function keepStatements(client: Sqlite.Database): void {
  const prepare = client.prepare.bind(client) as (sql: string) => Statement;
  const kept = new Map<string, Statement>();
  const keep = (sql: string): KeptStatement => {
    const statement = kept.get(sql) ?? prepare(sql);
    // In the order of their last use: the one that was not used for longest goes first.
    kept.delete(sql);
    kept.set(sql, statement);
    const [oldest] = kept.keys();
    if (kept.size > MAX_KEPT && oldest !== undefined) {
      kept.delete(oldest);
    }
    return new KeptStatement(statement);
  };
  Object.assign(client, { prepare: keep });
}

/** One use of a statement, with what the adapter calls of it: binding a statement itself would be for good. */
class KeptStatement {
  readonly #statement: Statement;
  #values: unknown[] = [];

  constructor(statement: Statement) {
    this.#statement = statement;
  }

  get reader(): boolean {
    return this.#statement.reader;
  }

  bind(values: unknown[]): this {
    this.#values = values;
    return this;
  }

  columns(): Sqlite.ColumnDefinition[] {
    return this.#statement.columns();
  }

  raw(): this {
    this.#statement.raw(true);
    return this;
  }

  all(): unknown[] {
    return this.#statement.all(this.#values);
  }

  run(): Sqlite.RunResult {
    return this.#statement.run(this.#values);
  }
}
