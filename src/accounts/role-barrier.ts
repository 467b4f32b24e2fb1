import type { RowChange } from '../changes/change.ts';
import type { SubscriptionFilter } from '../changes/filter.ts';
import type { Context } from '../context.ts';
import { findRow } from '../database/rows.ts';
import type { UserViewer } from '../viewer.ts';
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
    isBarrier: isRoleChange,
    isViewerOlderThan: ({ after }) => after?.['isStaff'] !== viewer.isStaff,
  };
}

/** Calls back when the role of the viewer changes, for streams that are no part of the log, until the function that it returns is called. */
export function onRoleChange(feed: Context['feed'], { id }: UserViewer, listener: () => void): () => void {
  return feed.onAccess([userScope(id)], (change) => {
    // A change that cannot be read may be one of the role.
    if (change === null || (change.model === 'User' && isRoleChange(change))) {
      listener();
    }
  });
}

/** Whether the user has the role with which the request was authenticated. */
export async function hasSameRole(database: Context['database'], { id, isStaff }: UserViewer): Promise<boolean> {
  const user = await findRow(database, 'User', { id });
  return user?.isStaff === isStaff;
}

function isRoleChange({ before, after }: RowChange): boolean {
  return before?.['isStaff'] !== after?.['isStaff'];
}
