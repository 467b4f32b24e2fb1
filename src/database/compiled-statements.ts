import { isDeepStrictEqual } from 'node:util';
import {
  type CompiledQuery,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  sql,
} from 'kysely';
import { LRUCache } from 'lru-cache';
import { columnsOf, decodeValue, type ModelName, timesOf } from './columns.ts';
import type { AnyCondition, Condition } from './condition.ts';
import { conditionSql, type SqlDialect } from './condition-sql.ts';

/** How many statements are kept compiled: more than all shapes of a busy server. */
const MAX_COMPILED = 1_000;

export type RawRow = Record<string, unknown>;
type AnyTables = Record<string, RawRow>;

/** How statements reach a database outside of transactions. */
export interface RowConnection {
  readonly dialect: SqlDialect;
  /** A builder that runs nothing. */
  readonly builder: Kysely<AnyTables>;
  /** Runs a statement that only reads what is committed. */
  readonly read: (sql: string, values: readonly unknown[]) => Promise<RawRow[]> | RawRow[];
  /** Runs a statement that writes, in a transaction of its own. */
  readonly write: (sql: string, values: readonly unknown[]) => Promise<RawRow[]>;
}

/** A builder of SQL for SQLite or PostgreSQL that has no connection. */
export function sqlBuilder(database: 'sqlite' | 'postgres'): Kysely<AnyTables> {
  return new Kysely<AnyTables>({
    dialect:
      database === 'sqlite'
        ? {
            createAdapter: () => new SqliteAdapter(),
            createDriver: () => new DummyDriver(),
            createIntrospector: (db) => new SqliteIntrospector(db),
            createQueryCompiler: () => new SqliteQueryCompiler(),
          }
        : {
            createAdapter: () => new PostgresAdapter(),
            createDriver: () => new DummyDriver(),
            createIntrospector: (db) => new PostgresIntrospector(db),
            createQueryCompiler: () => new PostgresQueryCompiler(),
          },
  });
}

export type Direction = 'asc' | 'desc';

export interface RowQuery<Model extends ModelName> {
  readonly where: Condition<Model>;
  readonly orderBy?: readonly Readonly<Record<string, Direction>>[];
  readonly take?: number;
  readonly skip?: number;
}

interface CompiledStatement {
  readonly sql: string;
  readonly decode: (row: RawRow) => RawRow;
}

/** Compiles each shape of a statement once, and runs it. */
export class CompiledStatements {
  readonly #connection: RowConnection;
  readonly #statements = new LRUCache<string, CompiledStatement>({ max: MAX_COMPILED });

  constructor(connection: RowConnection) {
    this.#connection = connection;
  }

  async find(
    model: string,
    { where, orderBy = [], take, skip }: RowQuery<ModelName>,
    columns: readonly string[] = [...columnsOf(model).keys()],
  ): Promise<RawRow[]> {
    const { dialect, builder } = this.#connection;
    const condition = conditionSql(dialect, model, where as AnyCondition);
    const bounds = [...(take === undefined ? [] : [take]), ...(skip ? [skip] : [])];
    const key = `find ${columns === ID ? 'ids of ' : ''}${model} ${condition.shape} ${orderKey(orderBy)} ${take !== undefined} ${Boolean(skip)}`;
    return this.#run(key, columns === ID ? null : model, [...condition.values, ...bounds], () => {
      let select = builder
        .selectFrom(model)
        .select([...columns])
        .where(condition.build());
      for (const [column, direction] of orderBy.flatMap((term) => Object.entries(term))) {
        select = select.orderBy(sql.ref(`${model}.${column}`), direction);
      }
      select = take === undefined ? select : select.limit(take);
      return (skip ? select.offset(skip) : select).compile();
    });
  }

  async count(model: string, where: AnyCondition): Promise<number> {
    const { dialect, builder } = this.#connection;
    const condition = conditionSql(dialect, model, where);
    const [row] = await this.#run(`count ${model} ${condition.shape}`, null, condition.values, () =>
      builder.selectFrom(model).select(COUNT).where(condition.build()).compile(),
    );
    return Number(row?.['count'] ?? 0);
  }

  children(
    { child, parent, column }: { readonly child: ModelName; readonly parent: ModelName; readonly column: string },
    parentIds: readonly number[],
    { where, orderBy, take }: RowQuery<ModelName> & Required<Pick<RowQuery<ModelName>, 'orderBy' | 'take'>>,
  ): Promise<RawRow[]> {
    const { dialect, builder } = this.#connection;
    const condition = conditionSql(dialect, child, where as AnyCondition, 'row');
    const ids = dialect.encodeList(parentIds);
    const order = (alias: string) =>
      sql.join(
        orderBy
          .flatMap((term) => Object.entries(term))
          .map(([name, direction]) => sql`${sql.ref(`${alias}.${name}`)} ${sql.raw(direction)}`),
      );
    const key = `children ${child} ${parent} ${column} ${condition.shape} ${orderKey(orderBy)}`;
    return this.#run(key, child, [...condition.values, take, ids], () => {
      const columns = [...columnsOf(child).keys()].map((name) => sql`${sql.ref(`child.${name}`)}`);
      return sql`select ${sql.join(columns)} from ${sql.table(parent)} as "parent"
        join ${sql.table(child)} as "child" on "child"."id" in (
          select "row"."id" from ${sql.table(child)} as "row"
          where ${sql.ref(`row.${column}`)} = "parent"."id" and ${condition.build()}
          order by ${order('row')} limit ${take}
        )
        where ${dialect.isIn(sql.ref('parent.id'), ids)} order by ${order('child')}`.compile(builder);
    });
  }

  async countBy(
    model: string,
    column: string,
    parentIds: readonly number[],
    where: AnyCondition,
  ): Promise<ReadonlyMap<number, number>> {
    const { dialect, builder } = this.#connection;
    const condition = conditionSql(dialect, model, where);
    const ids = dialect.encodeList(parentIds);
    const rows = await this.#run(
      `count ${model} by ${column} ${condition.shape}`,
      null,
      [ids, ...condition.values],
      () =>
        builder
          .selectFrom(model)
          .select([column, COUNT])
          .where(dialect.isIn(sql.ref(`${model}.${column}`), ids))
          .where(condition.build())
          .groupBy(column)
          .compile(),
    );
    return new Map(rows.map((row) => [Number(row[column]), Number(row['count'])]));
  }

  update(model: string, where: AnyCondition, data: object): Promise<RawRow[]> {
    const { dialect, builder } = this.#connection;
    const values = encodeAll(dialect, { ...data, ...present(model, 'updated') });
    const condition = conditionSql(dialect, model, where);
    const key = `update ${model} ${Object.keys(values).join()} ${condition.shape}`;
    const build = (): CompiledQuery =>
      builder
        .updateTable(model)
        .set(values)
        .where(condition.build())
        .returning([...columnsOf(model).keys()])
        .compile();
    return this.#run(key, model, [...Object.values(values), ...condition.values], build, true);
  }

  async insert(model: string, data: object): Promise<RawRow> {
    const { dialect, builder } = this.#connection;
    const values = encodeAll(dialect, { ...data, ...present(model, 'created'), ...present(model, 'updated') });
    const build = (): CompiledQuery =>
      builder
        .insertInto(model)
        .values(values)
        .returning([...columnsOf(model).keys()])
        .compile();
    const key = `insert ${model} ${Object.keys(values).join()}`;
    const [row] = await this.#run(key, model, Object.values(values), build, true);
    if (!row) {
      throw new Error(`A ${model} was inserted, and nothing returned.`);
    }
    return row;
  }

  async #run(
    key: string,
    model: string | null,
    values: readonly unknown[],
    build: () => CompiledQuery,
    isWrite = false,
  ): Promise<RawRow[]> {
    let statement = this.#statements.get(key);
    if (!statement) {
      const query = build();
      if (!isDeepStrictEqual(query.parameters, values)) {
        throw new Error(`The values of a statement are not in its order: ${query.sql}`);
      }
      statement = { sql: query.sql, decode: model === null ? (row) => row : decoderOf(model) };
      this.#statements.set(key, statement);
    }
    const run = isWrite ? this.#connection.write : this.#connection.read;
    const rows = await run(statement.sql, values);
    for (const row of rows) {
      statement.decode(row);
    }
    return rows;
  }
}

function encodeAll({ encode }: SqlDialect, values: object): RawRow {
  return Object.fromEntries(
    Object.entries(values)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, encode(value)]),
  );
}

/** The columns of a model that record when a row was made or last changed, with the present time. */
function present(model: string, event: 'created' | 'updated'): RawRow {
  const columns = timesOf(model)[event];
  const now = new Date();
  return Object.fromEntries(columns.map((column) => [column, now]));
}

/** What is read where only ids are asked for. */
export const ID: readonly string[] = ['id'];
const COUNT = sql<number | string>`count(*)`.as('count');

function orderKey(orderBy: readonly Readonly<Record<string, Direction>>[]): string {
  return orderBy.map((term) => Object.entries(term).join()).join();
}

/** Gives the values of a row, in place, the form that its model has them in. */
function decoderOf(model: string): (row: RawRow) => RawRow {
  const columns = [...columnsOf(model)];
  return (row) => {
    for (const [name, kind] of columns) {
      const value = row[name];
      if (kind === 'String' ? typeof value === 'string' || value === null : value === null) {
        continue;
      }
      const decoded = decodeValue(value, kind);
      if (decoded === undefined) {
        throw new Error(`The column ${name} of a ${model} holds a value of another kind.`);
      }
      row[name] = decoded;
    }
    return row;
  };
}
