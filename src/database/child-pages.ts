import type { Context } from '../context.ts';
import { inParts, loadBatched } from './batch.ts';
import type { RowOf } from './columns.ts';
import {
  type Listing,
  type Order,
  type Page,
  type PageArguments,
  type PagedModel,
  planPage,
  toPage,
  wholeOf,
  within,
} from './page.ts';
import { type ChildRelation, countChildren, findChildren } from './rows.ts';

/** How many rows one statement reads at the most, where the page of one parent has no more. */
const MAX_ROWS_OF_A_STATEMENT = 5_000;

/** The children of a row that fulfil a condition. */
export interface ChildListing<Child extends PagedModel> extends Omit<Listing<Child>, 'model'> {
  readonly relation: ChildRelation<Child>;
}

/** Reads one page of the children of `parentId`, together with those that the request asks for of other parents. */
export async function readChildPage<Child extends PagedModel>(
  context: Context,
  listing: ChildListing<Child>,
  parentId: number,
  page: PageArguments,
  order: Order,
): Promise<Page<RowOf<Child>>> {
  const { database, answer } = context;
  const { relation, filter, columns } = listing;
  const where = wholeOf(listing);
  const plan = planPage(page, order, columns);
  const scope = `${relation.child}.${relation.column} ${JSON.stringify(where)}`;
  const rows = await loadBatched(
    context,
    `page of ${scope} ${JSON.stringify([page, order])}`,
    parentId,
    async (ids) => {
      answer.addSearch(filter);
      const query = { where: within(where, plan), orderBy: plan.orderBy, take: plan.take + 1 };
      const read = await inParts(ids, Math.ceil(MAX_ROWS_OF_A_STATEMENT / query.take), (part) =>
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
