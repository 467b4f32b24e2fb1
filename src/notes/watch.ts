import { withRoleBarrier } from '../accounts/role-barrier.ts';
import { ownedScopes } from '../accounts/scopes.ts';
import type { SubscriptionFilter } from '../changes/filter.ts';
import { rowFilter } from '../changes/row-filter.ts';
import type { Context } from '../context.ts';
import { findRows } from '../database/rows.ts';
import { wantedIds } from '../validation.ts';
import { visibleNotes } from './policy.ts';

/** The notes that the viewer sees; with `id` only this one. */
export function watchNotes(
  { viewer, database }: Context,
  { id }: { id?: string | null | undefined },
): SubscriptionFilter {
  return withRoleBarrier(
    rowFilter({
      viewer,
      model: 'Note',
      scopes: ownedScopes(viewer),
      policy: visibleNotes(viewer),
      wanted: wantedIds({ id }),
      find: (ids) => findRows(database, 'Note', { where: { id: { in: ids } } }),
    }),
  );
}
