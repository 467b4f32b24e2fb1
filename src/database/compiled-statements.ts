import { isDeepStrictEqual } from 'node:util';
import {
  type CompiledQuery,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type RawBuilder,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  sql,
} from 'kysely';
import { LRUCache } from 'lru-cache';
import { columnsOf, decodeValue, type ModelName, timesOf } from './columns.ts';
import type { AnyCondition } from './condition.ts';
import { conditionSql, type SqlDialect } from './condition-sql.ts';
import { bytesOfTexts, type JsonQuery, jsonTextSql } from './json-sql.ts';
import type { WeighedRow } from './rows.ts';
import { type Builder, orderKey, type RawRow, type RowQuery, selectSql } from './select-sql.ts';

/** How many statements are kept compiled: more than all shapes of a busy server. */
const MAX_COMPILED = 1_000;

/** How statements reach a database outside of transactions. */
export interface RowConnection {
  readonly dialect: SqlDialect;
  /** A builder that runs nothing. */
  readonly builder: Builder;
  /** Runs a statement that only reads what is committed. */
  readonly read: (sql: string, values: readonly unknown[]) => Promise<RawRow[]> | RawRow[];
  /** Runs a statement that writes, in a transaction of its own. */
  readonly write: (sql: string, values: readonly unknown[]) => Promise<RawRow[]>;
}

/** A builder of SQL for SQLite or PostgreSQL that has no connection. */
export function sqlBuilder(database: 'sqlite' | 'postgres'): Builder {
  return new Kysely({
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

  find(model: string, query: RowQuery<ModelName>): Promise<RawRow[]> {
    const { shape, values, build } = selectSql(
      { ...this.#connection, model, columns: [...columnsOf(model).keys()] },
      query,
    );
    return this.#run(`find ${model} ${shape}`, model, values, () => build().compile());
  }

  /** The ids of the rows that {@link find} would find. */
  findIds(model: string, query: RowQuery<ModelName>): Promise<RawRow[]> {
    const { shape, values, build } = selectSql({ ...this.#connection, model, columns: ['id'] }, query);
    return this.#run(`find ids of ${model} ${shape}`, null, values, () => build().compile());
  }

  /** The ids of the rows that {@link find} would find, with the bytes of their texts: in one row, since many small ones cost much more. */
  async weigh(model: string, query: RowQuery<ModelName>): Promise<readonly WeighedRow[]> {
    const { dialect, builder } = this.#connection;
    const columns = ['id', { name: 'bytes', expression: bytesOfTexts(model) }];
    const { shape, values, build } = selectSql({ dialect, builder, model, columns }, query);
    const [row] = await this.#run(`weigh ${model} ${shape}`, null, values, () => {
      const [ids, bytes] = ['id', 'bytes'].map((name) => dialect.collected(sql.ref(name)));
      return sql`select ${ids} as "ids", ${bytes} as "bytes" from ${build().as('rows')}`.compile(builder);
    });
    const bytes = listOf(row?.['bytes']);
    return listOf(row?.['ids']).map((id, index) => ({ id, bytes: bytes[index] ?? 0 }));
  }

  /** See {@link jsonTextSql}. */
  async jsonText(query: JsonQuery, ids: readonly number[]): Promise<string | null> {
    const { shape, values, build } = jsonTextSql(this.#connection, query, ids);
    const [row] = await this.#run(`json ${shape}`, null, values, build);
    if (row?.['count'] !== row?.['readable']) {
      throw new Error(`A column of a ${query.model} holds a value of another kind.`);
    }
    return (row?.['text'] ?? null) as string | null;
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

  /** Inserts a row if another one fulfils a condition, which is there until the commit; undefined when none does. */
  async insertIf(model: string, data: object, other: string, where: AnyCondition): Promise<RawRow | undefined> {
    const { dialect, builder } = this.#connection;
    const values = encodeAll(dialect, { ...data, ...present(model, 'created'), ...present(model, 'updated') });
    const condition = conditionSql(dialect, other, where);
    const key = `insert ${model} ${Object.keys(values).join()} if ${other} ${condition.shape}`;
    const [row] = await this.#run(
      key,
      model,
      [...Object.values(values), ...condition.values],
      () => {
        const typed = Object.entries(values).map(([name, value]) =>
          dialect.typed(value, columnsOf(model).get(name) ?? 'String').as(name),
        );
        const found = builder.selectFrom(other).select(typed).where(condition.build());
        return builder
          .insertInto(model)
          .columns(Object.keys(values))
          .expression(dialect.locksRows ? found.forKeyShare() : found)
          .returning([...columnsOf(model).keys()])
          .compile();
      },
      true,
    );
    return row;
  }

  /** Runs a statement of its own kind that writes rows of a model and returns them. It is compiled each time. */
  async write(model: string, statement: (encode: SqlDialect['encode']) => RawBuilder<unknown>): Promise<RawRow[]> {
    const { dialect, builder, write } = this.#connection;
    const { sql: text, parameters } = statement(dialect.encode).compile(builder);
    return (await write(text, parameters)).map(decoderOf(model));
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

/** The numbers that a database collected. */
function listOf(collected: unknown): number[] {
  return (typeof collected === 'string' ? JSON.parse(collected) : (collected ?? [])) as number[];
}

/** The columns of a model that record when a row was made or last changed, with the present time. */
function present(model: string, event: 'created' | 'updated'): RawRow {
  const columns = timesOf(model)[event];
  const now = new Date();
  return Object.fromEntries(columns.map((column) => [column, now]));
}

const COUNT = sql<number | string>`count(*)`.as('count');

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
