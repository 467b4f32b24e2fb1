import type { RowOf } from './columns.ts';
import type { AnyCondition, Condition } from './condition.ts';
import type { JsonLayout, JsonShape } from './json-sql.ts';
import type { Database } from './open.ts';
import type { PagedModel } from './page.ts';
import { findRow, jsonText, type WeighedRow, weighRows } from './rows.ts';
import type { RowQuery } from './select-sql.ts';

/** The bytes of texts that are read at once, unless a single row has more. */
const MAX_RUN_BYTES = 256 * 1024;
/** How many rows are weighed at once, before the texts of some of them are read; more where the database may have to sort all rows for it. */
const WEIGHED_AT_ONCE = 1000;
const SORTED_AT_ONCE = 10_000;
/** What a row takes beside its texts, in bytes. */
const ROW_BYTES = 150;

/**
 * The rows of a list as JSON objects, separated by commas, which the database writes itself: in runs of some hundred kilobytes, each when it is asked for.
 * Times are ISO 8601 in UTC with six digits of fraction, and none when it is zero. `queryAfter` gives the query of all rows behind one, or at the start.
 */
export async function* jsonOfRows<Model extends PagedModel>(
  database: Database,
  { model, shape, visible, take = Number.POSITIVE_INFINITY }: JsonRows<Model>,
  queryAfter: (last: RowOf<Model> | null) => RowQuery<Model>,
  layout: JsonLayout,
): AsyncGenerator<string> {
  let left = take;
  for (let last: RowOf<Model> | null = null; left > 0; ) {
    const query = queryAfter(last);
    const most = Math.min(left, isOrderedById(query) ? WEIGHED_AT_ONCE : SORTED_AT_ONCE);
    const weighed: readonly WeighedRow[] = await weighRows(database, model, { ...query, take: most });
    last = weighed.length < most || most === left ? null : await lastOf(database, model, weighed);
    left = last ? left - most : 0;
    for (const ids of runsOf(weighed)) {
      const text = await jsonText(database, { model, shape, layout, where: visible as AnyCondition }, ids);
      // All of them may be gone by now, or not to be seen any more.
      if (text !== null) {
        yield text;
      }
    }
  }
}

/** The last of some rows that is still there. */
async function lastOf<Model extends PagedModel>(
  database: Database,
  model: Model,
  rows: readonly WeighedRow[],
): Promise<RowOf<Model> | null> {
  for (const { id } of rows.toReversed()) {
    const row = await findRow(database, model, { id } as Condition<Model>);
    if (row) {
      return row;
    }
  }
  return null;
}

export interface JsonRows<Model extends PagedModel> {
  readonly model: Model;
  readonly shape: JsonShape;
  /** Which rows the reader sees: a slow one may have lost a right since the list began. */
  readonly visible: Condition<Model>;
  /** How many rows at the most; all when left out. */
  readonly take?: number;
}

function isOrderedById({ orderBy: [first = {}] = [] }: Pick<RowQuery<PagedModel>, 'orderBy'>): boolean {
  return 'id' in first;
}

function* runsOf(rows: readonly WeighedRow[]): Generator<number[]> {
  let ids: number[] = [];
  let bytes = 0;
  for (const row of rows) {
    if (ids.length > 0 && bytes + row.bytes > MAX_RUN_BYTES) {
      yield ids;
      ids = [];
      bytes = 0;
    }
    ids.push(row.id);
    bytes += row.bytes + ROW_BYTES;
  }
  if (ids.length > 0) {
    yield ids;
  }
}
