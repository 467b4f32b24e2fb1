import type { SubscriptionFilter } from '../changes/filter.ts';
import { userScope } from './scopes.ts';

/**
 * The same subscription, which has to start over when the role of its viewer changes: a user who becomes staff, or no longer is, sees other rows and
 * fields than before, and no event says which. That holds for a change while nobody was connected, too.
 */
export function withRoleBarrier(filter: SubscriptionFilter): SubscriptionFilter {
  const { viewer } = filter;
  if (viewer.kind === 'anonymous') {
    return filter;
  }
  const scope = userScope(viewer.id);
  return {
    ...filter,
    accessScopes: [...filter.accessScopes, scope],
    barrier: { model: 'User', scope },
    isBarrier: ({ before, after }) => before?.['isStaff'] !== after?.['isStaff'],
    isViewerOlderThan: ({ after }) => after?.['isStaff'] !== viewer.isStaff,
  };
}
