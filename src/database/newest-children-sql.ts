import { type CompiledQuery, sql } from 'kysely';
import type { ModelName } from './columns.ts';
import type { AnyCondition } from './condition.ts';
import { conditionSql, findIndexedDisjunctionOf, type SqlDialect } from './condition-sql.ts';
import type { Builder, Direction, Statement } from './select-sql.ts';

interface Connection {
  readonly dialect: SqlDialect;
  readonly builder: Builder;
}

/** A one-to-many relation: the rows of `child` refer to those of `parent` by a column. */
interface Relation {
  readonly child: ModelName;
  readonly parent: ModelName;
  readonly column: string;
}

/** A row whose newest child is the one with the id `newest`, 0 for none. */
export interface NewestChild {
  readonly id: number;
  readonly newest: number;
}

/** A query for rows in the order of their newest children; rows without children come as if theirs had the id 0, and rows with equal ones in the order of their ids. */
export interface NewestChildQuery {
  readonly where: AnyCondition;
  readonly direction: Direction;
  /** Selects the rows that come after this one in ascending or descending order. */
  readonly bounds: readonly (NewestChild & { readonly direction: Direction })[];
  readonly take: number;
}

/**
 * Returns the statement that reads `id` and `newest` of the rows that a query selects. It reads one entry of an index of the children for each row that fulfils the
 * condition. Each alternative of a condition that is a disjunction uses an index of its own.
 */
export function newestChildrenSql(
  { dialect, builder }: Connection,
  { child, parent, column }: Relation,
  { where, direction, bounds, take }: NewestChildQuery,
): Statement<CompiledQuery> {
  const disjunction = findIndexedDisjunctionOf(parent, where);
  const conditions = disjunction
    ? disjunction.alternatives.map((alternative) => ({ AND: [...disjunction.rest, alternative] }))
    : [where];
  const parts = conditions.map((condition) => conditionSql(dialect, parent, condition));
  return {
    shape: [
      child,
      column,
      ...parts.map(({ shape }) => shape),
      direction,
      ...bounds.map((bound) => bound.direction),
    ].join(' | '),
    values: [...parts.flatMap(({ values }) => values), ...bounds.flatMap(({ newest, id }) => [newest, id]), take],
    build: () => {
      const ids = parts.map((part) => sql`select "id" from ${sql.table(parent)} where ${part.build()}`);
      const within = bounds.map(
        ({ direction: side, newest, id }) =>
          sql`("newest", "id") ${sql.raw(side === 'asc' ? '>' : '<')} (${dialect.typed(newest, 'Int')}, ${dialect.typed(id, 'Int')})`,
      );
      const order = sql.raw(direction);
      return sql`select "id", "newest" from (
          select "parent"."id" as "id", coalesce((
            select max("child"."id") from ${sql.table(child)} as "child" where ${sql.ref(`child.${column}`)} = "parent"."id"
          ), 0) as "newest"
          from ${sql.table(parent)} as "parent" where "parent"."id" in (${sql.join(ids, sql` union `)})
        ) as "rows" where ${sql.join([sql`1 = 1`, ...within], sql` and `)}
        order by "newest" ${order}, "id" ${order} limit ${take}`.compile(builder);
    },
  };
}

/** The children of one row whose key is above `after`. */
export interface ChildRun {
  readonly parentId: number;
  readonly after: number;
}

/** The children that are counted. */
export interface NewestCount {
  /** The condition on the children of a run, which with `key` uses an index. */
  readonly within: AnyCondition;
  /** The integer column by which the newest ones are found. */
  readonly key: string;
  /** How many of them are read for each run. */
  readonly reach: number;
  /** The condition that the counted ones fulfil. */
  readonly where: AnyCondition;
}

/**
 * Returns the statement that counts children of several rows as `count` by `id`: of the newest `reach` children of each run, those that fulfil a condition. It
 * reads no more than `reach` children of each row, from their index.
 */
export function countNewestSql(
  { dialect, builder }: Connection,
  { child, column }: Pick<Relation, 'child' | 'column'>,
  runs: readonly ChildRun[],
  { within, key, reach, where }: NewestCount,
): Statement<CompiledQuery> {
  const inner = conditionSql(dialect, child, within, 'row');
  const outer = conditionSql(dialect, child, where, 'recent');
  const parents = dialect.encodeList(runs.map(({ parentId }) => parentId));
  const starts = dialect.encodeList(runs.map(({ after }) => after));
  return {
    shape: `${child} ${column} ${key} ${inner.shape} | ${outer.shape}`,
    values: [...inner.values, reach, ...outer.values, parents, starts],
    build: () =>
      sql`select "run"."value" as "id", (
          select count(*) from (
            select * from ${sql.table(child)} as "row"
            where ${sql.ref(`row.${column}`)} = "run"."value" and ${sql.ref(`row.${key}`)} > "start"."value" and ${inner.build()}
            order by ${sql.ref(`row.${key}`)} desc limit ${reach}
          ) as "recent" where ${outer.build()}
        ) as "count"
        from ${dialect.listed(parents)} as "run"
        join ${dialect.listed(starts)} as "start" on "start"."place" = "run"."place"`.compile(builder),
  };
}
