import type { Context } from '../context.ts';
import { loadBatched } from './batch.ts';
import type { RowOf } from './columns.ts';
import {
  type Listing,
  type Order,
  type Page,
  type PageArguments,
  type PagedModel,
  planPage,
  toPage,
  within,
} from './page.ts';
import { type ChildRelation, countChildren, findChildren } from './rows.ts';

/** The children of a row that fulfil a condition. */
export interface ChildListing<Child extends PagedModel> extends Omit<Listing<Child>, 'model'> {
  readonly relation: ChildRelation<Child>;
}

/** Reads one page of the children of `parentId`, together with those that the request asks for of other parents. */
export async function readChildPage<Child extends PagedModel>(
  context: Context,
  { relation, where, columns }: ChildListing<Child>,
  parentId: number,
  page: PageArguments,
  order: Order,
): Promise<Page<RowOf<Child>>> {
  const { database } = context;
  const plan = planPage(page, order, columns);
  const scope = `${relation.child}.${relation.column} ${JSON.stringify(where)}`;
  const rows = await loadBatched(context, `page of ${scope} ${JSON.stringify([page, order])}`, parentId, (ids) =>
    findChildren(database, relation, ids, {
      where: within(where, plan),
      orderBy: plan.orderBy,
      take: plan.take + 1,
    }),
  );
  return toPage(plan, rows ?? [], async () => {
    const total = await loadBatched(context, `count of ${scope}`, parentId, (ids) =>
      countChildren(database, relation, ids, where),
    );
    return total ?? 0;
  });
}
