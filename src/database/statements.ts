import type Sqlite from 'better-sqlite3';

/** How many statements a connection keeps prepared: more than a busy server uses, and some megabytes of memory. */
const MAX_KEPT = 500;

interface Prepared {
  readonly statement: Sqlite.Statement<unknown[], unknown>;
  /** What it gives, once somebody has asked; telling it takes as long as a small query. */
  columns: Sqlite.ColumnDefinition[] | null;
}

/**
 * Has a connection prepare each statement once and keep it. Prisma's adapter prepares anew for every query, which costs time, and memory that
 * the garbage collector knows nothing of.
 */
export function keepStatements(client: Sqlite.Database): void {
  const prepare = client.prepare.bind(client) as (sql: string) => Prepared['statement'];
  const kept = new Map<string, Prepared>();
  const keep = (sql: string): KeptStatement => {
    const prepared = kept.get(sql) ?? { statement: prepare(sql), columns: null };
    // In the order of their last use: the one that was not used for longest goes first.
    kept.delete(sql);
    kept.set(sql, prepared);
    const [oldest] = kept.keys();
    if (kept.size > MAX_KEPT && oldest !== undefined) {
      kept.delete(oldest);
    }
    return new KeptStatement(prepared);
  };
  Object.assign(client, { prepare: keep });
}

/** One use of a statement, with what the adapter calls of it: binding a statement itself would be for good. */
class KeptStatement {
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
