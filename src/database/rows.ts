import { NotFoundError } from '../errors.ts';
import type { ModelName, RowOf } from './columns.ts';
import { CompiledStatements, ID, type RowConnection, type RowQuery } from './compiled-statements.ts';
import type { AnyCondition, Condition } from './condition.ts';
import type { Database } from './open.ts';
import type { Transaction } from './transactions.ts';

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
    ? reader.find(model, query, ID)
    : delegateOf(database, model).findMany({ ...query, select: { id: true } }));
  return rows.map((row) => (row as { id: number }).id);
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
): Promise<ReadonlyMap<number, RowOf<Child>[]>> {
  const rows = (await readerOf(database).children(relation, parentIds, query)) as RowOf<Child>[];
  const children = new Map<number, RowOf<Child>[]>(parentIds.map((id) => [id, []]));
  for (const row of rows) {
    children.get(row[relation.column] as number)?.push(row);
  }
  return children;
}

/** How many rows that fulfil a condition hang on each of many parents. Call it outside of transactions. */
export function countChildren<Child extends ModelName>(
  database: Database,
  { child, column }: ChildRelation<Child>,
  parentIds: readonly number[],
  where: Condition<Child>,
): Promise<ReadonlyMap<number, number>> {
  return readerOf(database).countBy(child, column, parentIds, where as AnyCondition);
}

function readerOf(database: Database): CompiledStatements {
  const reader = compiled.get(database);
  if (!reader) {
    throw new Error('Children are read outside of transactions.');
  }
  return reader;
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
