import { type AliasedExpression, type Expression, type Kysely, type SelectQueryBuilder, sql } from 'kysely';
import { columnsOf, type ModelName } from './columns.ts';
import type { AnyCondition, Choice, Condition } from './condition.ts';
import { type ConditionSql, choiceOfModel, conditionSql, type SqlDialect } from './condition-sql.ts';

export type RawRow = Record<string, unknown>;
/** A builder of statements for tables that it knows nothing of. */
export type Builder = Kysely<Record<string, RawRow>>;
export type Select = SelectQueryBuilder<Record<string, RawRow>, string, RawRow>;

export type Direction = 'asc' | 'desc';
type OrderTerm = readonly [column: string, direction: Direction];

/** Which rows of a model, in which order, and how many of them. */
export interface RowQuery<Model extends ModelName> {
  readonly where: Condition<Model>;
  readonly orderBy?: readonly Readonly<Record<string, Direction>>[];
  readonly take?: number;
  readonly skip?: number;
}

/** A statement whose SQL is made when it is needed. */
export interface Statement<Sql> {
  /** Equal for statements that differ in values only: their SQL is the same. */
  readonly shape: string;
  /** The values, in the order in which the SQL names them. */
  readonly values: readonly unknown[];
  /** Makes the SQL. */
  readonly build: () => Sql;
}

export interface SelectOptions {
  readonly dialect: SqlDialect;
  readonly builder: Builder;
  readonly model: string;
  readonly columns: readonly Selected[];
}

/** What is selected of each row: a column, or something else by a name. */
export type Selected = string | { readonly name: string; readonly expression: Expression<unknown> };

/** Translates a query. Where its condition leaves a choice, the rows of each alternative are read in the order by an index of their own. */
export function selectSql(options: SelectOptions, query: RowQuery<ModelName>): Statement<Select> {
  const where = query.where as AnyCondition;
  const isRun = query.take !== undefined && query.orderBy !== undefined;
  const choice = isRun ? choiceOfModel(options.model, where) : null;
  return choice ? selectOfChoice(options, query, choice) : plainSelect(options, query, where);
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

/** Reads of each alternative as many rows as the whole may take: among them are all that it takes. */
function selectOfChoice(
  { dialect, builder, model, columns }: SelectOptions,
  query: RowQuery<ModelName>,
  { alternatives, rest }: Choice,
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
      // Neither database takes an order in a part of a union but by a subquery.
      const runs = parts.map((part, index) => sql`select * from ${select(part).as(`part${index}`)}`);
      const found = sql<RawRow>`(${sql.join(runs, sql` union `)})`.as<'found'>(sql.ref('found'));
      return bounded(builder.selectFrom(found).select(names) as unknown as Select, 'found', query);
    },
  };
}

function selection(column: Selected): string | AliasedExpression<unknown, string> {
  return typeof column === 'string' ? column : sql`${column.expression}`.as(column.name);
}

/** The order, behind the columns that are the same in all rows of an alternative: so its indexes begin. */
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

/** An order as text. */
export function orderKey(orderBy: RowQuery<ModelName>['orderBy'] = []): string {
  return orderBy.map((term) => Object.entries(term).join()).join();
}
