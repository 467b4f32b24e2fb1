import { z } from 'zod';
import { AppError, ValidationError } from '../errors.ts';
import { searchesText } from './answer-budget.ts';
import type { ModelName, RowOf } from './columns.ts';
import type { Condition } from './condition.ts';
import type { ReadContext } from './read-context.ts';
import { countRows, findColumns, findRows } from './rows.ts';

export const DEFAULT_PAGE_SIZE = 20;
export const MAX_PAGE_SIZE = 100;

/** The columns by which a list can be ordered, with the kinds of their values. They are never null. */
export type OrderColumns = Readonly<Record<string, 'number' | 'text' | 'date'>>;

export interface Order<Column extends string = string> {
  readonly column: Column;
  readonly direction: 'asc' | 'desc';
}

/** The pagination arguments of the Relay connection specification. */
export interface PageArguments {
  readonly first?: number | null | undefined;
  readonly after?: string | null | undefined;
  readonly last?: number | null | undefined;
  readonly before?: string | null | undefined;
}

export interface Page<Row> {
  readonly rows: readonly Row[];
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  readonly encodeCursor: (row: Row) => string;
  /** Returns the number of rows in the whole list; runs a separate query. */
  readonly totalCount: () => Promise<number>;
}

type KeyValue = number | string | Date;

/** The query of a page, computed from its arguments: at most `take` rows in `orderBy`, within `bounds`. */
export interface PagePlan {
  readonly take: number;
  readonly orderBy: readonly Record<string, 'asc' | 'desc'>[];
  /** The direction in which the rows are read. */
  readonly direction: Order['direction'];
  /** The conditions of keyset pagination: they compare values and not offsets, so they stay correct while rows are inserted and deleted. */
  readonly bounds: readonly object[];
  /** The same bounds as values, for lists whose order is no column: the rows that come after this value and id in ascending or descending order. */
  readonly keys: readonly (PageCursor & { readonly direction: Order['direction'] })[];
  readonly order: Order;
  readonly backward: boolean;
  readonly startsAfter: boolean;
  readonly endsBefore: boolean;
}

/**
 * Returns the query of a page in the given order; rows with equal values are ordered by id.
 *
 * @throws {ValidationError} when a size is negative or above {@link MAX_PAGE_SIZE}, or both `first` and `last` are given
 * @throws {AppError} `BAD_CURSOR` when a cursor is malformed or was made for another order
 */
export function planPage(page: PageArguments, order: Order, columns: OrderColumns): PagePlan {
  checkSizes(page);
  const backward = page.last != null;
  const direction = backward ? opposite(order.direction) : order.direction;
  const keys: PagePlan['keys'][number][] = [];
  if (page.after != null) {
    keys.push({ direction: order.direction, ...decodePageCursor(page.after, order, columns) });
  }
  if (page.before != null) {
    keys.push({ direction: opposite(order.direction), ...decodePageCursor(page.before, order, columns) });
  }
  return {
    take: page.last ?? page.first ?? DEFAULT_PAGE_SIZE,
    orderBy: order.column === 'id' ? [{ id: direction }] : [{ [order.column]: direction }, { id: direction }],
    direction,
    bounds: keys.map((key) => keysetBound(order, key.direction, key)),
    keys,
    order,
    backward,
    startsAfter: page.after != null,
    endsBefore: page.before != null,
  };
}

/** Returns the page of the rows that were read by a plan, which include one row after the page if there is one. */
export function toPage<Row extends { readonly id: number }>(
  plan: PagePlan,
  read: readonly Row[],
  totalCount: () => Promise<number>,
): Page<Row> {
  const more = read.length > plan.take;
  const rows = read.slice(0, plan.take);
  return {
    rows: plan.backward ? rows.reverse() : rows,
    hasNextPage: plan.backward ? plan.endsBefore : more,
    hasPreviousPage: plan.backward ? more : plan.startsAfter,
    encodeCursor: (row) => encodePageCursor(plan.order, row),
    totalCount,
  };
}

/** The models whose ids are numbers. */
export type PagedModel = { [Model in ModelName]: RowOf<Model> extends { id: number } ? Model : never }[ModelName];

/** The rows of a model that fulfil a condition. */
export interface Listing<Model extends PagedModel> {
  readonly model: Model;
  readonly where: Condition<Model>;
  /** The filter that the caller asks for; its scan counts against {@link AnswerBudget.addSearch}. */
  readonly filter?: Condition<Model>;
  readonly columns: OrderColumns;
}

/**
 * Reads one page of a list. A filter by a part of a text, for which there is no index, examines a limited number of rows after the start of the page.
 *
 * @throws {AppError} `COMPLEXITY` when it would have to examine more; see {@link planPage} and {@link AnswerBudget} for other errors
 */
export async function readPage<Model extends PagedModel>(
  context: ReadContext,
  listing: Listing<Model>,
  page: PageArguments,
  order: Order,
): Promise<Page<RowOf<Model>>> {
  const { database, answer } = context;
  const { model, filter, columns } = listing;
  const plan = planPage(page, order, columns);
  const where = fullCondition(listing);
  answer.addSearch(filter);
  const isTextSearch = searchesText(filter);
  const end = isTextSearch ? await endOfScan(context, listing, plan) : [];
  const bounded = { ...plan, bounds: [...plan.bounds, ...end] };
  const read = await answer.read(() =>
    findRows(database, model, { where: withBounds(where, bounded), orderBy: plan.orderBy, take: plan.take + 1 }),
  );
  if (end.length > 0 && read.length <= plan.take) {
    throw answer.tooLongScan();
  }
  return toPage(plan, read, async () => {
    answer.addCount();
    if (isTextSearch && (await endOfScan(context, listing, { ...plan, bounds: [] })).length > 0) {
      throw answer.tooLongScan();
    }
    return countRows(database, model, where);
  });
}

/** Returns the bound before the first row of a list, in the order of a plan and without the filter, that a scan may not examine; none when the list is shorter. */
async function endOfScan<Model extends PagedModel>(
  { database, answer }: ReadContext,
  { model, where }: Listing<Model>,
  plan: PagePlan,
): Promise<object[]> {
  const { column, direction } = plan.order;
  const columns = [...new Set(['id', column])] as (keyof RowOf<Model> & string)[];
  const [row] = (await findColumns(database, model, columns, {
    where: withBounds(where, plan),
    orderBy: plan.orderBy,
    skip: answer.maxExamined,
    take: 1,
  })) as [{ readonly id: number }?];
  const isAscending = (direction === 'asc') !== plan.backward;
  return row
    ? [keysetBound(plan.order, isAscending ? 'desc' : 'asc', { id: row.id, value: Reflect.get(row, column) })]
    : [];
}

/** Returns the condition of a list together with its filter. */
export function fullCondition<Model extends PagedModel>({
  where,
  filter,
}: Pick<Listing<Model>, 'where' | 'filter'>): Condition<Model> {
  return (filter ? { AND: [where, filter] } : where) as Condition<Model>;
}

/** Returns a condition together with the bounds of a page. */
export function withBounds<Model extends ModelName>(where: Condition<Model>, { bounds }: PagePlan): Condition<Model> {
  // The bounds name columns of the model by which the list is ordered.
  return { AND: [where, ...(bounds as Condition<Model>[])] } as Condition<Model>;
}

/** @throws {ValidationError} when a size is negative or above {@link MAX_PAGE_SIZE}, or both `first` and `last` are given */
export function checkSizes({ first, last }: PageArguments): void {
  if (first != null && last != null) {
    throw new ValidationError([{ path: 'last', message: 'Give either first or last, not both.' }]);
  }
  for (const [path, size] of Object.entries({ first, last })) {
    if (size != null && (size < 0 || size > MAX_PAGE_SIZE)) {
      throw new ValidationError([{ path, message: `Ensure this value is between 0 and ${MAX_PAGE_SIZE}.` }]);
    }
  }
}

function opposite(direction: 'asc' | 'desc'): 'asc' | 'desc' {
  return direction === 'asc' ? 'desc' : 'asc';
}

interface PageCursor {
  readonly id: number;
  readonly value: KeyValue;
}

function keysetBound({ column }: Order, direction: 'asc' | 'desc', { id, value }: PageCursor): object {
  const operator = direction === 'asc' ? 'gt' : 'lt';
  if (column === 'id') {
    return { id: { [operator]: id } };
  }
  // The first bound follows from the others. It is there for the index: a scan cannot start at an OR.
  return {
    [column]: { [`${operator}e`]: value },
    OR: [{ [column]: { [operator]: value } }, { id: { [operator]: id } }],
  };
}

const cursorShape = z.tuple([z.string(), z.int32(), z.union([z.string(), z.int32(), z.null()])]);

/** Returns the cursor of a row in an order. */
export function encodePageCursor({ column }: Order, row: { readonly id: number }): string {
  const value = column === 'id' ? null : Reflect.get(row, column);
  return encodeCursorValue([column, row.id, value]);
}

function decodePageCursor(cursor: string, { column }: Order, columns: OrderColumns): PageCursor {
  const parsed = cursorShape.safeParse(decodeCursorValue(cursor));
  if (!parsed.success || parsed.data[0] !== column) {
    throw new AppError('BAD_CURSOR');
  }
  const [, id, value] = parsed.data;
  return { id, value: column === 'id' ? id : keyValue(value, columns[column]) };
}

function keyValue(value: string | number | null, kind: OrderColumns[string] | undefined): KeyValue {
  if (kind === 'number' && typeof value === 'number') {
    return value;
  }
  if (kind === 'text' && typeof value === 'string') {
    return value;
  }
  const date = kind === 'date' && typeof value === 'string' ? new Date(value) : null;
  // The databases differ in the years outside this range that they can store.
  if (date && date.getUTCFullYear() >= 1 && date.getUTCFullYear() <= 9999) {
    return date;
  }
  throw new AppError('BAD_CURSOR');
}

/** Returns an opaque text for a JSON value. */
export function encodeCursorValue(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** Returns the value of a text of {@link encodeCursorValue}; undefined when it is malformed. */
export function decodeCursorValue(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
