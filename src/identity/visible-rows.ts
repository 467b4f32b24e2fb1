import type { Context } from '../context.ts';
import { findBatched } from '../database/batch.ts';
import type { RowOf } from '../database/columns.ts';
import type { Condition } from '../database/condition.ts';
import type { PagedModel } from '../database/page.ts';
import { findRows } from '../database/rows.ts';

/** Returns the row with this id if it fulfils the policy of the viewer; batched. */
export function findVisible<Model extends PagedModel>(
  context: Context,
  model: Model,
  id: string | number,
  policy: Condition<Model>,
): Promise<RowOf<Model> | undefined> {
  return findBatched(context, model, id, (ids) =>
    findRows(context.database, model, { where: { AND: [{ id: { in: ids } }, policy] } as Condition<Model> }),
  );
}
