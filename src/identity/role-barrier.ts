import type { RowChange } from '../changes/change.ts';
import type { SubscriptionFilter } from '../changes/filter.ts';
import type { Context } from '../context.ts';
import { findRow } from '../database/rows.ts';
import type { UserViewer } from '../viewer.ts';
import { userScope } from './scopes.ts';

/**
 * Adds to a subscription that it has to start over (`RESYNC_REQUIRED`) when the role of its viewer changes, also while the client was not connected: staff see other
 * rows and fields than users, and no events describe that difference.
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
    isBarrier: isRoleChange,
    isViewerOlderThan: ({ after }) => after?.['isStaff'] !== viewer.isStaff,
  };
}

/** Calls back when the role of the viewer changes, for streams that do not read the log. Returns the function that stops it. */
export function onRoleChange(feed: Context['feed'], { id }: UserViewer, listener: () => void): () => void {
  return feed.onAccess([userScope(id)], (change) => {
    // A change that could not be read may be a change of the role.
    if (change === null || (change.model === 'User' && isRoleChange(change))) {
      listener();
    }
  });
}

/** Returns whether the user still has the role that they had when the request was authenticated. */
export async function hasSameRole(database: Context['database'], { id, isStaff }: UserViewer): Promise<boolean> {
  const user = await findRow(database, 'User', { id });
  return user?.isStaff === isStaff;
}

function isRoleChange({ before, after }: RowChange): boolean {
  return before?.['isStaff'] !== after?.['isStaff'];
}
