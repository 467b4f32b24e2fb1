import type { Database } from './client.ts';
import type { RowOf } from './columns.ts';
import type { MeasuredRow } from './compiled-statements.ts';
import type { AnyCondition, Condition } from './condition.ts';
import type { JsonLayout, JsonShape } from './json-sql.ts';
import type { PagedModel } from './page.ts';
import { findRow, jsonText, measureRows } from './rows.ts';
import type { RowQuery } from './select-sql.ts';

/** The bytes of texts that one statement reads, unless a single row has more. */
const MAX_CHUNK_BYTES = 256 * 1024;
/** The number of rows that one statement measures before their texts are read; more where the database may have to sort all rows for each statement. */
const MAX_MEASURED_ROWS = 1000;
const MAX_SORTED_ROWS = 10_000;
/** The bytes of a row beside its texts. */
const ROW_BYTES = 150;

/**
 * Yields the rows of a list as JSON objects, separated by commas, in chunks of some hundred kilobytes that the database encodes and that are read on demand.
 * Times are ISO 8601 in UTC with a fraction of six digits, which is left out when it is zero. `queryAfter` returns the query of all rows after the given one.
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
    const most = Math.min(left, isOrderedById(query) ? MAX_MEASURED_ROWS : MAX_SORTED_ROWS);
    const measured: readonly MeasuredRow[] = await measureRows(database, model, { ...query, take: most });
    last = measured.length < most || most === left ? null : await lastOf(database, model, measured);
    left = last ? left - most : 0;
    for (const ids of chunksOf(measured)) {
      const text = await jsonText(database, { model, shape, layout, where: visible as AnyCondition }, ids);
      // All of them may have been deleted or hidden since they were measured.
      if (text !== null) {
        yield text;
      }
    }
  }
}

/** Returns the last of the rows that still exists; null when none does. */
async function lastOf<Model extends PagedModel>(
  database: Database,
  model: Model,
  rows: readonly MeasuredRow[],
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
  /** The condition on visible rows, checked again for each chunk, since the reader's access may be revoked while a long list is sent. */
  readonly visible: Condition<Model>;
  /** The largest number of rows; all when left out. */
  readonly take?: number;
}

function isOrderedById({ orderBy: [first = {}] = [] }: Pick<RowQuery<PagedModel>, 'orderBy'>): boolean {
  return 'id' in first;
}

function* chunksOf(rows: readonly MeasuredRow[]): Generator<number[]> {
  let ids: number[] = [];
  let bytes = 0;
  for (const row of rows) {
    if (ids.length > 0 && bytes + row.bytes > MAX_CHUNK_BYTES) {
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
