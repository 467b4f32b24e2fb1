import type { RawBuilder } from 'kysely';
import { NotFoundError } from '../errors.ts';
import type { Database, Transaction } from './client.ts';
import type { ModelName, RowOf } from './columns.ts';
import { CompiledStatements, type MeasuredRow, type RowConnection } from './compiled-statements.ts';
import type { AnyCondition, Condition } from './condition.ts';
import type { SqlDialect } from './condition-sql.ts';
import type { JsonQuery } from './json-sql.ts';
import {
  type ChildRun,
  countNewestSql,
  type NewestChild,
  type NewestChildQuery,
  type NewestCount,
  newestChildrenSql,
} from './newest-children-sql.ts';
import type { RawRow, RowQuery } from './select-sql.ts';
import { lockRows } from './transactions.ts';

const compiled = new WeakMap<object, CompiledStatements>();

/** Makes the functions of this file run the statements of a client over a connection. Within its transactions they use Prisma and its connection. */
export function useConnection(client: Database, connection: RowConnection): void {
  compiled.set(client, new CompiledStatements(connection));
}

/** Returns the rows that a query selects. */
export async function findRows<Model extends ModelName>(
  database: Transaction,
  model: Model,
  query: RowQuery<Model>,
): Promise<RowOf<Model>[]> {
  const reader = compiled.get(database);
  return (reader ? reader.find(model, query) : delegateOf(database, model).findMany(query)) as Promise<RowOf<Model>[]>;
}

/** Returns the given columns of the rows that {@link findRows} would return; the other columns are null. Call it outside of transactions. */
export async function findColumns<Model extends ModelName>(
  database: Database,
  model: Model,
  columns: readonly (keyof RowOf<Model> & string)[],
  query: RowQuery<Model>,
): Promise<unknown[]> {
  return statementsOf(database).find(model, query, columns);
}

/**
 * Runs a read statement that the other functions of this file cannot express, with `?` or `$1` for its values. Returns the rows as the driver has them. Call it
 * outside of transactions.
 */
export async function readValues(database: Database, sql: string, values: readonly unknown[]): Promise<RawRow[]> {
  return statementsOf(database).read(sql, values);
}

/** Returns the ids of the rows that {@link findRows} would return. */
export async function findIds<Model extends ModelName>(
  database: Transaction,
  model: Model,
  query: RowQuery<Model>,
): Promise<number[]> {
  const reader = compiled.get(database);
  const rows = await (reader
    ? reader.findIds(model, query)
    : delegateOf(database, model).findMany({ ...query, select: { id: true } }));
  return rows.map((row) => (row as { id: number }).id);
}

/** Returns the ids and the sizes of the rows that {@link findRows} would return. Call it outside of transactions. */
export function measureRows<Model extends ModelName>(
  database: Database,
  model: Model,
  query: RowQuery<Model>,
): Promise<readonly MeasuredRow[]> {
  return statementsOf(database).measure(model, query);
}

/** Returns the JSON of rows in the order of their ids, separated by commas; null when none of them exists. Call it outside of transactions. */
export function jsonText(database: Database, query: JsonQuery, ids: readonly number[]): Promise<string | null> {
  return statementsOf(database).jsonText(query, ids);
}

/** Returns the row that fulfils a condition on a unique column. */
export async function findRow<Model extends ModelName>(
  database: Transaction,
  model: Model,
  where: Condition<Model>,
): Promise<RowOf<Model> | undefined> {
  const [row] = await findRows(database, model, { where, take: 1 });
  return row;
}

/** Returns the number of rows of a model that fulfil a condition. */
export async function countRows<Model extends ModelName>(
  database: Transaction,
  model: Model,
  where: Condition<Model>,
): Promise<number> {
  const reader = compiled.get(database);
  return reader ? reader.count(model, where as AnyCondition) : delegateOf(database, model).count({ where });
}

/** A one-to-many relation: the rows of a model that refer to rows of another one by a column. */
export interface ChildRelation<Child extends ModelName> {
  readonly child: Child;
  readonly parent: ModelName;
  /** The child's column that holds the parent's id. */
  readonly column: keyof RowOf<Child> & string;
}

/**
 * Returns the first children, in an order, of each parent, by one statement that reads from an index only as many rows as it takes. Call it outside of
 * transactions.
 */
export async function findChildren<Child extends ModelName>(
  database: Database,
  relation: ChildRelation<Child>,
  parentIds: readonly number[],
  query: RowQuery<Child> & Required<Pick<RowQuery<Child>, 'orderBy' | 'take'>>,
): Promise<RowOf<Child>[]> {
  return (await statementsOf(database).children(relation, parentIds, query)) as RowOf<Child>[];
}

/** Returns the number of children that fulfil a condition for each parent. Call it outside of transactions. */
export function countChildren<Child extends ModelName>(
  database: Database,
  { child, column }: ChildRelation<Child>,
  parentIds: readonly number[],
  where: Condition<Child>,
): Promise<ReadonlyMap<number, number>> {
  return statementsOf(database).countBy(child, column, parentIds, where as AnyCondition);
}

/** The children of a parent that have the same value in a column. */
export interface ChildGroup {
  readonly parentId: number;
  readonly value: string;
  /** The numbers of another column, in the order of the ids of the children. */
  readonly members: readonly number[];
}

/**
 * Returns the children of each parent, grouped by the text column `by`, with the numbers of the column `collect`. The groups are in the order of their first
 * children. Call it outside of transactions.
 */
export function groupChildren<Child extends ModelName>(
  database: Database,
  { child, column }: ChildRelation<Child>,
  parentIds: readonly number[],
  columns: { readonly by: keyof RowOf<Child> & string; readonly collect: keyof RowOf<Child> & string },
): Promise<ChildGroup[]> {
  return statementsOf(database).groups(child, column, parentIds, columns);
}

/** Returns the ids of rows in the order of their newest children; see {@link newestChildrenSql}. Call it outside of transactions. */
export async function findByNewestChild(
  database: Database,
  relation: ChildRelation<ModelName>,
  query: NewestChildQuery,
): Promise<NewestChild[]> {
  const rows = await statementsOf(database).readBy('by newest child', (connection) =>
    newestChildrenSql(connection, relation, query),
  );
  return rows.map((row) => ({ id: Number(row['id']), newest: Number(row['newest']) }));
}

/** Returns how many of the newest children of each run fulfil a condition, by the id of the parent; see {@link countNewestSql}. Call it outside of transactions. */
export async function countNewestChildren(
  database: Database,
  relation: Pick<ChildRelation<ModelName>, 'child'> & { readonly column: string },
  runs: readonly ChildRun[],
  counted: NewestCount,
): Promise<ReadonlyMap<number, number>> {
  const rows = await statementsOf(database).readBy('count newest', (connection) =>
    countNewestSql(connection, relation, runs, counted),
  );
  return new Map(rows.map((row) => [Number(row['id']), Number(row['count'])]));
}

function statementsOf(database: Database): CompiledStatements {
  const statements = compiled.get(database);
  if (!statements) {
    throw new Error('This statement was called within a transaction; pass the database client instead.');
  }
  return statements;
}

/** The methods of Prisma's client that all models have. */
interface Delegate {
  findMany(query: object): Promise<unknown[]>;
  count(query: object): Promise<number>;
  updateManyAndReturn(query: object): Promise<unknown[]>;
  create(query: object): Promise<unknown>;
}

function delegateOf(database: Transaction, model: ModelName): Delegate {
  const name = model.charAt(0).toLowerCase() + model.slice(1);
  return Reflect.get(database, name) as Delegate;
}

/** The values of columns that a write sets. */
export type RowData<Model extends ModelName> = Partial<RowOf<Model>>;

/**
 * Updates the rows that fulfil a condition by one statement, and returns them after the update. Columns that record the last change are set to the current
 * time. Columns with unique values must not be updated, since a violation is thrown as an error of the driver.
 */
export async function updateRows<Model extends ModelName>(
  database: Transaction,
  model: Model,
  where: Condition<Model>,
  data: RowData<Model>,
): Promise<RowOf<Model>[]> {
  const statements = compiled.get(database);
  const rows = statements
    ? statements.update(model, where as AnyCondition, data)
    : delegateOf(database, model).updateManyAndReturn({ where, data });
  return rows as Promise<RowOf<Model>[]>;
}

/**
 * Updates the row that fulfils a condition on a unique column, as {@link updateRows} does.
 *
 * @throws {NotFoundError} when no row matches
 */
export async function updateRow<Model extends ModelName>(
  database: Transaction,
  model: Model,
  where: Condition<Model>,
  data: RowData<Model>,
): Promise<RowOf<Model>> {
  const [row] = await updateRows(database, model, where, data);
  if (!row) {
    throw new NotFoundError();
  }
  return row;
}

/** Inserts a row with the given values, the defaults of other columns, and the current time as the time of its creation; returns the row. */
export async function insertRow<Model extends ModelName>(
  database: Transaction,
  model: Model,
  data: RowData<Model>,
): Promise<RowOf<Model>> {
  const statements = compiled.get(database);
  const row = statements ? statements.insert(model, data) : delegateOf(database, model).create({ data });
  return row as Promise<RowOf<Model>>;
}

/**
 * Runs a write statement that the other functions of this file cannot express, and that returns all columns of rows of one model. Values are encoded by
 * `encode`. Call it outside of transactions, since it commits at once.
 */
export async function writeRows<Model extends ModelName>(
  database: Database,
  model: Model,
  statement: (encode: SqlDialect['encode']) => RawBuilder<unknown>,
): Promise<RowOf<Model>[]> {
  return (await statementsOf(database).write(model, statement)) as RowOf<Model>[];
}

/**
 * Inserts a row as {@link insertRow} does if another row fulfils a condition on a unique column, and locks that row against deletion until the commit. Returns
 * undefined, and inserts nothing, when no row fulfils the condition.
 */
export async function insertRowIf<Model extends ModelName, Other extends ModelName>(
  database: Transaction,
  model: Model,
  data: RowData<Model>,
  other: { readonly model: Other; readonly where: Condition<Other> },
): Promise<RowOf<Model> | undefined> {
  const statements = compiled.get(database);
  if (statements) {
    return (await statements.insertIf(model, data, other.model, other.where as AnyCondition)) as
      | RowOf<Model>
      | undefined;
  }
  return (await findLocked(database, other.model, other.where)) ? insertRow(database, model, data) : undefined;
}

/**
 * Locks and returns the row that fulfils a condition with a unique column, so that no other transaction changes or deletes it before this one ends; returns
 * undefined when no row fulfils the condition.
 */
export async function findLocked<Model extends ModelName>(
  transaction: Transaction,
  model: Model,
  where: Condition<Model>,
): Promise<RowOf<Model> | undefined> {
  const found = (await findRow(transaction, model, where)) as { readonly id: number } | undefined;
  if (!found) {
    return undefined;
  }
  await lockRows(transaction, model, [found.id]);
  // The row may have been changed or deleted before it was locked.
  return findRow(transaction, model, where);
}
