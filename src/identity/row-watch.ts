import type { SubscriptionFilter } from '../changes/filter.ts';
import { rowFilter } from '../changes/row-filter.ts';
import type { Context } from '../context.ts';
import type { Condition, RowPolicy } from '../database/condition.ts';
import type { PagedModel } from '../database/page.ts';
import { findRows } from '../database/rows.ts';
import { idsByColumn } from '../validation.ts';
import { withRoleBarrier } from './role-barrier.ts';

/** The rows of a model that a subscription follows. */
export interface WatchedRows<Model extends PagedModel> {
  readonly model: Model;
  /** The scopes of the rows that the viewer may see; null for all scopes. */
  readonly scopes: readonly string[] | null;
  /** The policy of the model for the viewer. */
  readonly policy: RowPolicy<Model>;
  /** For each of these columns, the id that the rows must have in it; no restriction where it is left out. */
  readonly ids: Readonly<Record<string, string | null | undefined>>;
}

/** Subscribes to the rows of a model that the viewer may see. The subscription has to start over when the role of the viewer changes. */
export function watchRows<Model extends PagedModel>(
  { viewer, database }: Context,
  { model, scopes, policy, ids }: WatchedRows<Model>,
): SubscriptionFilter {
  return withRoleBarrier(
    rowFilter({
      viewer,
      model,
      scopes,
      policy,
      where: idsByColumn(ids),
      find: (rowIds) => findRows(database, model, { where: { id: { in: rowIds } } as Condition<Model> }),
    }),
  );
}
