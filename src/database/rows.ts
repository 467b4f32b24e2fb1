import type { RawBuilder } from 'kysely';
import { NotFoundError } from '../errors.ts';
import type { ModelName, RowOf } from './columns.ts';
import { CompiledStatements, type RowConnection } from './compiled-statements.ts';
import type { AnyCondition, Condition } from './condition.ts';
import type { SqlDialect } from './condition-sql.ts';
import type { JsonQuery } from './json-sql.ts';
import type { Database } from './open.ts';
import type { RowQuery } from './select-sql.ts';
import { lockRows, type Transaction } from './transactions.ts';

const compiled = new WeakMap<object, CompiledStatements>();

/** Has the statements of a client go over a connection. Those of its transactions go over the transaction's own all the same, by Prisma. */
export function useConnection(client: Database, connection: RowConnection): void {
  compiled.set(client, new CompiledStatements(connection));
}

/** The rows of a model that fulfil a condition, in an order. */
export async function findRows<Model extends ModelName>(
  database: Transaction,
  model: Model,
  query: RowQuery<Model>,
): Promise<RowOf<Model>[]> {
  const reader = compiled.get(database);
  return (reader ? reader.find(model, query) : delegateOf(database, model).findMany(query)) as Promise<RowOf<Model>[]>;
}

/** The ids of the rows that {@link findRows} would find. */
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

/** The id of a row, and how many bytes its texts have. */
export interface WeighedRow {
  readonly id: number;
  readonly bytes: number;
}

/** The rows that {@link findRows} would find, without what they hold. Call it outside of transactions. */
export function weighRows<Model extends ModelName>(
  database: Database,
  model: Model,
  query: RowQuery<Model>,
): Promise<readonly WeighedRow[]> {
  return statementsOf(database).weigh(model, query);
}

/** The JSON of the rows with these ids, in the order of these, separated by commas; null when there is none of them. Call it outside of transactions. */
export function jsonText(database: Database, query: JsonQuery, ids: readonly number[]): Promise<string | null> {
  return statementsOf(database).jsonText(query, ids);
}

/** The one row that fulfils a condition on a unique column. */
export async function findRow<Model extends ModelName>(
  database: Transaction,
  model: Model,
  where: Condition<Model>,
): Promise<RowOf<Model> | undefined> {
  const [row] = await findRows(database, model, { where, take: 1 });
  return row;
}

/** How many rows of a model fulfil a condition. */
export async function countRows<Model extends ModelName>(
  database: Transaction,
  model: Model,
  where: Condition<Model>,
): Promise<number> {
  const reader = compiled.get(database);
  return reader ? reader.count(model, where as AnyCondition) : delegateOf(database, model).count({ where });
}

/** The rows of a model that hang on rows of another one by a column of theirs. */
export interface ChildRelation<Child extends ModelName> {
  readonly child: Child;
  readonly parent: ModelName;
  /** The child's column that holds the parent's id. */
  readonly column: keyof RowOf<Child> & string;
}

/**
 * The first rows, in an order, that hang on each of many parents, in one statement that follows an index for as many rows as are asked for.
 * Call it outside of transactions.
 */
export async function findChildren<Child extends ModelName>(
  database: Database,
  relation: ChildRelation<Child>,
  parentIds: readonly number[],
  query: RowQuery<Child> & Required<Pick<RowQuery<Child>, 'orderBy' | 'take'>>,
): Promise<RowOf<Child>[]> {
  return (await statementsOf(database).children(relation, parentIds, query)) as RowOf<Child>[];
}

/** How many rows that fulfil a condition hang on each of many parents. Call it outside of transactions. */
export function countChildren<Child extends ModelName>(
  database: Database,
  { child, column }: ChildRelation<Child>,
  parentIds: readonly number[],
  where: Condition<Child>,
): Promise<ReadonlyMap<number, number>> {
  return statementsOf(database).countBy(child, column, parentIds, where as AnyCondition);
}

function statementsOf(database: Database): CompiledStatements {
  const statements = compiled.get(database);
  if (!statements) {
    throw new Error('This statement runs outside of transactions only.');
  }
  return statements;
}

/** What every model's client of Prisma can do. */
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

/** The values of columns that a write gives. */
export type RowData<Model extends ModelName> = Partial<RowOf<Model>>;

/**
 * Changes the rows that fulfil a condition, all in one statement, and returns them as they are then. Columns that record the last change are set to
 * the present. Only columns without unique values may be changed: their violation is reported as the driver does.
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
 * Changes the one row that fulfils a condition on a unique column, as {@link updateRows} does.
 *
 * @throws {NotFoundError} when there is none
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

/** Inserts a row with the values given, the defaults of the columns that are left out, and the present as the time of its creation. */
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
 * Runs a statement that no other function of this file can express: it writes rows of one model and returns all their columns. Its values pass `encode`.
 * Call it outside of transactions: it commits at once.
 */
export async function writeRows<Model extends ModelName>(
  database: Database,
  model: Model,
  statement: (encode: SqlDialect['encode']) => RawBuilder<unknown>,
): Promise<RowOf<Model>[]> {
  return (await statementsOf(database).write(model, statement)) as RowOf<Model>[];
}

/**
 * Inserts a row as {@link insertRow} does if another one fulfils a condition on a unique column, and keeps that one from being deleted until the commit. Gives
 * undefined, and inserts nothing, when none does.
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
 * The one row that fulfils a condition on a unique column and perhaps others, which no other transaction changes or deletes until this one is over; undefined
 * when none does.
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
  // It may have changed, or been deleted, before it was locked.
  return findRow(transaction, model, where);
}
