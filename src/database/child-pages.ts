import { ValidationError } from '../errors.ts';
import { inChunks, loadBatched } from './batch.ts';
import type { RowOf } from './columns.ts';
import {
  encodePageCursor,
  fullCondition,
  type Listing,
  MAX_PAGE_SIZE,
  type Order,
  type Page,
  type PageArguments,
  type PagedModel,
  planPage,
  toPage,
  withBounds,
} from './page.ts';
import type { ReadContext } from './read-context.ts';
import { type ChildRelation, countChildren, findChildren } from './rows.ts';

/** The largest number of rows that one statement reads, unless the page of a single parent has more. */
const MAX_ROWS_PER_STATEMENT = 5_000;

/** The children of a row that fulfil a condition. */
export interface ChildListing<Child extends PagedModel> extends Omit<Listing<Child>, 'model'> {
  readonly relation: ChildRelation<Child>;
}

/** Reads one page of the children of `parentId`; the pages of other parents in the same request are read by the same statement. */
export async function readChildPage<Child extends PagedModel>(
  context: ReadContext,
  listing: ChildListing<Child>,
  parentId: number,
  page: PageArguments,
  order: Order,
): Promise<Page<RowOf<Child>>> {
  const { database, answer } = context;
  const { relation, filter, columns } = listing;
  const where = fullCondition(listing);
  const plan = planPage(page, order, columns);
  const scope = `${relation.child}.${relation.column} ${JSON.stringify(where)}`;
  const rows = await loadBatched(
    context,
    `page of ${scope} ${JSON.stringify([page, order])}`,
    parentId,
    async (ids) => {
      answer.addSearch(filter);
      const query = { where: withBounds(where, plan), orderBy: plan.orderBy, take: plan.take + 1 };
      const read = await inChunks(ids, Math.ceil(MAX_ROWS_PER_STATEMENT / query.take), (part) =>
        answer.read(() => findChildren(database, relation, part, query)),
      );
      const children = new Map<number, RowOf<Child>[]>(ids.map((id) => [id, []]));
      for (const row of read) {
        children.get(row[relation.column] as number)?.push(row);
      }
      return children;
    },
  );
  return toPage(plan, rows ?? [], async () => {
    const total = await loadBatched(context, `count of ${scope}`, parentId, (ids) => {
      answer.addCount();
      return countChildren(database, relation, ids, where);
    });
    return total ?? 0;
  });
}

/**
 * Reads the page of `size` children of `parentId` around one of them: half of the others precede it, half follow it, and fewer where the list ends.
 *
 * @throws {ValidationError} when the size is not between 1 and {@link MAX_PAGE_SIZE}
 */
export async function readChildPageAround<Child extends PagedModel>(
  context: ReadContext,
  listing: ChildListing<Child>,
  parentId: number,
  { row, size }: { readonly row: RowOf<Child>; readonly size: number },
  order: Order,
): Promise<Page<RowOf<Child>>> {
  if (size < 1 || size > MAX_PAGE_SIZE) {
    throw new ValidationError([{ path: 'first', message: `Ensure this value is between 1 and ${MAX_PAGE_SIZE}.` }]);
  }
  const cursor = encodePageCursor(order, row);
  const preceding = Math.floor(size / 2);
  const [before, after] = await Promise.all([
    readChildPage(context, listing, parentId, { last: preceding, before: cursor }, order),
    readChildPage(context, listing, parentId, { first: size - 1 - preceding, after: cursor }, order),
  ]);
  return {
    ...after,
    rows: [...before.rows, row, ...after.rows],
    hasPreviousPage: before.hasPreviousPage,
  };
}
