import { signedIn } from '../accounts/policy.ts';
import { withRoleBarrier } from '../accounts/role-barrier.ts';
import type { SubscriptionFilter } from '../changes/filter.ts';
import { rowFilter } from '../changes/row-filter.ts';
import type { Context } from '../context.ts';
import { findRows } from '../database/rows.ts';
import { wantedIds } from '../validation.ts';
import { visiblePosts } from './policy.ts';
import { POSTS_SCOPE } from './slice.ts';

/**
 * The posts that the viewer sees; with `id` only this one.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export function watchPosts(
  { viewer, database }: Context,
  { id }: { id?: string | null | undefined },
): SubscriptionFilter {
  return withRoleBarrier(
    rowFilter({
      viewer,
      model: 'Post',
      scopes: [POSTS_SCOPE],
      policy: visiblePosts(signedIn(viewer)),
      wanted: wantedIds({ id }),
      find: (ids) => findRows(database, 'Post', { where: { id: { in: ids } } }),
    }),
  );
}
