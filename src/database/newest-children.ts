import { byId } from './batch.ts';
import type { RowOf } from './columns.ts';
import type { AnyCondition, Condition } from './condition.ts';
import {
  fullCondition,
  type Listing,
  type Order,
  type Page,
  type PageArguments,
  type PagedModel,
  planPage,
  toPage,
} from './page.ts';
import type { ReadContext } from './read-context.ts';
import { countRows, findByNewestChild, findRows } from './rows.ts';

/** A list of rows, and the children by whose ids it is ordered. */
export interface NewestChildListing<Model extends PagedModel> extends Listing<Model> {
  readonly child: PagedModel;
  /** The child's column that holds the parent's id. */
  readonly column: string;
}

/**
 * Reads one page of a list in the order of the newest child of each row. Nothing is stored for this order, so that it is right whoever writes the children; a page
 * reads one index entry for each row of the whole list. Rows without children come first in ascending order. It throws as {@link planPage} does.
 */
export async function readPageByNewestChild<Model extends PagedModel>(
  { database, answer }: ReadContext,
  listing: NewestChildListing<Model>,
  page: PageArguments,
  order: Order,
): Promise<Page<RowOf<Model>>> {
  const { model, child, column, filter, columns } = listing;
  const plan = planPage(page, order, columns);
  const where = fullCondition(listing);
  answer.addSearch(filter);
  const found = await findByNewestChild(
    database,
    { child, parent: model, column: column as never },
    {
      where: where as AnyCondition,
      direction: plan.direction,
      bounds: plan.keys.map(({ direction, value, id }) => ({ direction, newest: Number(value), id })),
      take: plan.take + 1,
    },
  );
  const ids = found.map(({ id }) => id);
  const rows = byId(
    await answer.read(() => findRows(database, model, { where: { id: { in: ids } } as Condition<Model> })),
  );
  const { encodeCursor, ...rest } = toPage(
    plan,
    found.map(({ id, newest }) => ({ id, [order.column]: newest, row: rows.get(id) })),
    async () => {
      answer.addCount();
      return countRows(database, model, where);
    },
  );
  const keys = new Map(rest.rows.map((key) => [key.id, key]));
  return {
    ...rest,
    // A row may have been deleted since its key was read.
    rows: rest.rows.flatMap(({ row }) => row ?? []),
    encodeCursor: ({ id }) => encodeCursor(keys.get(id) ?? { id, row: undefined }),
  };
}
