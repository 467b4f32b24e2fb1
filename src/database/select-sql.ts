import { type AliasedExpression, type Expression, type Kysely, type SelectQueryBuilder, sql } from 'kysely';
import { columnsOf, type ModelName } from './columns.ts';
import type { AnyCondition, Condition, Disjunction } from './condition.ts';
import { type ConditionSql, conditionSql, findIndexedDisjunctionOf, type SqlDialect } from './condition-sql.ts';

export type RawRow = Record<string, unknown>;
/** A Kysely builder without types of tables. */
export type Builder = Kysely<Record<string, RawRow>>;
export type Select = SelectQueryBuilder<Record<string, RawRow>, string, RawRow>;

export type Direction = 'asc' | 'desc';
type OrderTerm = readonly [column: string, direction: Direction];

/** A query for rows of a model: their condition, order and number. */
export interface RowQuery<Model extends ModelName> {
  readonly where: Condition<Model>;
  readonly orderBy?: readonly Readonly<Record<string, Direction>>[];
  readonly take?: number;
  readonly skip?: number;
}

/** A statement whose SQL is built on demand. */
export interface Statement<Sql> {
  /** Statements with equal shapes differ in their values only, and have the same SQL. */
  readonly shape: string;
  /** The values in the order of the SQL parameters. */
  readonly values: readonly unknown[];
  /** Returns the SQL. */
  readonly build: () => Sql;
}

export interface SelectOptions {
  readonly dialect: SqlDialect;
  readonly builder: Builder;
  readonly model: string;
  readonly columns: readonly Selected[];
}

/** A selected value of each row: a column, or a named expression. */
export type Selected = string | { readonly name: string; readonly expression: Expression<unknown> };

/** Translates a query. If its condition is a disjunction with an index for each alternative, the rows of each alternative are read in order by their index. */
export function selectSql(options: SelectOptions, query: RowQuery<ModelName>): Statement<Select> {
  const where = query.where as AnyCondition;
  const isPage = query.take !== undefined && query.orderBy !== undefined;
  const disjunction = isPage ? findIndexedDisjunctionOf(options.model, where) : null;
  return disjunction ? selectOfDisjunction(options, query, disjunction) : plainSelect(options, query, where);
}

function plainSelect(
  { dialect, builder, model, columns }: SelectOptions,
  query: RowQuery<ModelName>,
  where: AnyCondition,
) {
  const condition = conditionSql(dialect, model, where);
  return {
    shape: `${condition.shape} ${boundsShape(query)}`,
    values: [...condition.values, ...boundsOf(query)],
    build: () =>
      bounded(builder.selectFrom(model).select(columns.map(selection)).where(condition.build()), model, query),
  };
}

/** Reads from each alternative as many rows as the whole query takes, which always include the rows of the result. */
function selectOfDisjunction(
  { dialect, builder, model, columns }: SelectOptions,
  query: RowQuery<ModelName>,
  { alternatives, rest }: Disjunction,
): Statement<Select> {
  const reach = (query.take ?? 0) + (query.skip ?? 0);
  const parts = alternatives.map((alternative) => ({
    condition: conditionSql(dialect, model, { AND: [...rest, alternative] }),
    order: orderWithin(model, alternative, orderOf(query)),
  }));
  const names = columns.map((column) => (typeof column === 'string' ? column : column.name));
  const others = orderOf(query).flatMap(([column]) => (names.includes(column) ? [] : [column]));
  const select = ({ condition, order }: { condition: ConditionSql; order: readonly OrderTerm[] }) =>
    inOrder(
      builder
        .selectFrom(model)
        .select([...columns.map(selection), ...others])
        .where(condition.build()),
      model,
      order,
    ).limit(reach);
  return {
    shape: `${parts.map(({ condition }) => condition.shape).join(' | ')} ${boundsShape(query)}`,
    values: [...parts.flatMap(({ condition }) => [...condition.values, reach]), ...boundsOf(query)],
    build: () => {
      // Both databases accept an order in a part of a union only within a subquery.
      const selects = parts.map((part, index) => sql`select * from ${select(part).as(`part${index}`)}`);
      const found = sql<RawRow>`(${sql.join(selects, sql` union `)})`.as<'found'>(sql.ref('found'));
      return bounded(builder.selectFrom(found).select(names) as unknown as Select, 'found', query);
    },
  };
}

function selection(column: Selected): string | AliasedExpression<unknown, string> {
  return typeof column === 'string' ? column : sql`${column.expression}`.as(column.name);
}

/** Returns the order with the columns that are constant in an alternative in front, as the indexes have them. */
function orderWithin(model: string, alternative: AnyCondition, order: readonly OrderTerm[]): OrderTerm[] {
  const [, direction = 'asc'] = order[0] ?? [];
  const fixed = Object.keys(alternative).filter((name) => columnsOf(model).has(name));
  return [...fixed.map((name): OrderTerm => [name, direction]), ...order];
}

function orderOf({ orderBy = [] }: RowQuery<ModelName>): OrderTerm[] {
  return orderBy.flatMap((term) => Object.entries(term));
}

function inOrder(select: Select, table: string, order: readonly OrderTerm[]): Select {
  return order.reduce((part, [column, direction]) => part.orderBy(sql.ref(`${table}.${column}`), direction), select);
}

function bounded(select: Select, table: string, query: RowQuery<ModelName>): Select {
  const ordered = inOrder(select, table, orderOf(query));
  const taken = query.take === undefined ? ordered : ordered.limit(query.take);
  return query.skip ? taken.offset(query.skip) : taken;
}

function boundsOf({ take, skip }: RowQuery<ModelName>): number[] {
  return [...(take === undefined ? [] : [take]), ...(skip ? [skip] : [])];
}

function boundsShape(query: RowQuery<ModelName>): string {
  return `${orderKey(query.orderBy)} ${query.take !== undefined} ${Boolean(query.skip)}`;
}

/** Returns an order as text. */
export function orderKey(orderBy: RowQuery<ModelName>['orderBy'] = []): string {
  return orderBy.map((term) => Object.entries(term).join()).join();
}
