import { isDeepStrictEqual } from 'node:util';
import { type CompiledQuery, type RawBuilder, sql } from 'kysely';
import { LRUCache } from 'lru-cache';
import { columnsOf, type ModelName } from './columns.ts';
import type { AnyCondition } from './condition.ts';
import { conditionSql, type SqlDialect } from './condition-sql.ts';
import { bytesOfTexts, type JsonQuery, jsonTextSql } from './json-sql.ts';
import { currentTimes, decoderOf, encodeNewRow, encodeValues, parseNumbers } from './row-values.ts';
import { type Builder, orderKey, type RawRow, type RowQuery, type Statement, selectSql } from './select-sql.ts';

/** The bound of the compiled statements in the cache, in bytes: more than the shapes of statements that a busy server uses. */
const MAX_BYTES = 4 * 1024 * 1024;
/** The memory of an entry beside its texts, in bytes. */
const ENTRY_BYTES = 500;

/** Runs statements on a database outside of transactions. */
export interface RowConnection {
  readonly dialect: SqlDialect;
  /** A builder that has no connection. */
  readonly builder: Builder;
  /** Runs a statement that reads committed rows. */
  readonly read: (sql: string, values: readonly unknown[]) => Promise<RawRow[]> | RawRow[];
  /** Runs a write statement outside of the caller's transactions; it is committed when the promise resolves. */
  readonly write: (sql: string, values: readonly unknown[]) => Promise<RawRow[]>;
}

interface CompiledStatement {
  readonly sql: string;
  readonly decode: (row: RawRow) => RawRow;
}

/** The id of a row, and the number of bytes of its texts. */
export interface MeasuredRow {
  readonly id: number;
  readonly bytes: number;
}

/** Runs statements, and compiles each shape of them once. */
export class CompiledStatements {
  readonly #connection: RowConnection;
  readonly #statements = new LRUCache<string, CompiledStatement>({
    maxSize: MAX_BYTES,
    sizeCalculation: ({ sql }, shape) => ENTRY_BYTES + 2 * (shape.length + sql.length),
  });

  constructor(connection: RowConnection) {
    this.#connection = connection;
  }

  find(
    model: string,
    query: RowQuery<ModelName>,
    columns: readonly string[] = [...columnsOf(model).keys()],
  ): Promise<RawRow[]> {
    const { shape, values, build } = selectSql({ ...this.#connection, model, columns }, query);
    return this.#run(`find ${columns.join()} of ${model} ${shape}`, model, values, () => build().compile());
  }

  /** Runs a read statement of a caller. */
  async read(text: string, values: readonly unknown[]): Promise<RawRow[]> {
    return this.#connection.read(text, values);
  }

  /** Returns the ids of the rows that {@link find} would return. */
  findIds(model: string, query: RowQuery<ModelName>): Promise<RawRow[]> {
    const { shape, values, build } = selectSql({ ...this.#connection, model, columns: ['id'] }, query);
    return this.#run(`find ids of ${model} ${shape}`, null, values, () => build().compile());
  }

  /** Returns the ids of the rows that {@link find} would return, with the bytes of their texts. The statement returns them in one row, which is faster than many small rows. */
  async measure(model: string, query: RowQuery<ModelName>): Promise<readonly MeasuredRow[]> {
    const { dialect, builder } = this.#connection;
    const columns = ['id', { name: 'bytes', expression: bytesOfTexts(model) }];
    const { shape, values, build } = selectSql({ dialect, builder, model, columns }, query);
    const [row] = await this.#run(`measure ${model} ${shape}`, null, values, () => {
      const [ids, bytes] = ['id', 'bytes'].map((name) => dialect.collected(sql.ref(name)));
      return sql`select ${ids} as "ids", ${bytes} as "bytes" from ${build().as('rows')}`.compile(builder);
    });
    const bytes = parseNumbers(row?.['bytes']);
    return parseNumbers(row?.['ids']).map((id, index) => ({ id, bytes: bytes[index] ?? 0 }));
  }

  /** Returns the JSON of rows; see {@link jsonTextSql}. */
  async jsonText(query: JsonQuery, ids: readonly number[]): Promise<string | null> {
    const { shape, values, build } = jsonTextSql(this.#connection, query, ids);
    const [row] = await this.#run(`json ${shape}`, null, values, build);
    if (row?.['count'] !== row?.['readable']) {
      throw new Error(`A row of ${query.model} has a column with a value of another type than the schema declares.`);
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
      const first = sql`select "row"."id" from ${sql.table(child)} as "row"
        where ${sql.ref(`row.${column}`)} = "parent"."id" and ${condition.build()}
        order by ${order('row')} limit ${take}`;
      return sql`select ${sql.join(columns)} from ${sql.table(parent)} as "parent"
        join ${sql.table(child)} as "child" on ${dialect.isAmong(sql.ref('child.id'), first)}
        where ${dialect.isIn(sql.ref('parent.id'), ids)} order by ${order('child')}`.compile(builder);
    });
  }

  /** Runs a statement that reads other values than the columns of a model. `name` distinguishes it from statements of other functions. */
  readBy(name: string, statement: (connection: RowConnection) => Statement<CompiledQuery>): Promise<RawRow[]> {
    const { shape, values, build } = statement(this.#connection);
    return this.#run(`${name} ${shape}`, null, values, build);
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

  /** Returns the children of each parent in groups with the same value of a column; see `groupChildren`. */
  async groups(
    model: string,
    column: string,
    parentIds: readonly number[],
    { by, collect }: { readonly by: string; readonly collect: string },
  ): Promise<{ parentId: number; value: string; members: number[] }[]> {
    const { dialect, builder } = this.#connection;
    const ids = dialect.encodeList(parentIds);
    const [parent, value] = [sql.ref(column), sql.ref(by)];
    const rows = await this.#run(`groups ${model} ${column} ${by} ${collect}`, null, [ids], () =>
      sql`select ${parent} as "parentId", ${value} as "value", ${dialect.collected(sql`${sql.ref(collect)} order by "id"`)} as "members"
        from ${sql.table(model)} where ${dialect.isIn(parent, ids)}
        group by ${parent}, ${value} order by min("id")`.compile(builder),
    );
    return rows.map((row) => ({
      parentId: Number(row['parentId']),
      value: String(row['value']),
      members: parseNumbers(row['members']),
    }));
  }

  update(model: string, where: AnyCondition, data: object): Promise<RawRow[]> {
    const { dialect, builder } = this.#connection;
    const values = encodeValues(dialect, { ...data, ...currentTimes(model, 'updated') });
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
    const values = encodeNewRow(dialect, model, data);
    const build = (): CompiledQuery =>
      builder
        .insertInto(model)
        .values(values)
        .returning([...columnsOf(model).keys()])
        .compile();
    const key = `insert ${model} ${Object.keys(values).join()}`;
    const [row] = await this.#run(key, model, Object.values(values), build, true);
    if (!row) {
      throw new Error(`The insertion of a ${model} returned no row.`);
    }
    return row;
  }

  /** Inserts a row if another row fulfils a condition, and locks that row until the commit; returns undefined when no row does. */
  async insertIf(model: string, data: object, other: string, where: AnyCondition): Promise<RawRow | undefined> {
    const { dialect, builder } = this.#connection;
    const values = encodeNewRow(dialect, model, data);
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

  /** Runs a write statement of a caller, which returns rows of a model. It is compiled each time. */
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
        throw new Error(`The values of a statement are not in the order of its parameters: ${query.sql}`);
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

const COUNT = sql<number | string>`count(*)`.as('count');
