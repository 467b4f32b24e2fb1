import type { RowPolicy } from '../database/condition.ts';
import { isViewer, type Viewer } from '../viewer.ts';

/** Returns the policy of users: signed-in viewers may see all of them. */
export function visibleUsers(viewer: Viewer): RowPolicy<'User'> {
  return viewer.kind === 'user' ? {} : { id: { in: [] } };
}

/** Returns whether the viewer may see the private fields of a user: the email address, the status, and when the account was created. */
export function canSeePrivateFields(viewer: Viewer, user: { readonly id: number }): boolean {
  return viewer.kind === 'user' && (viewer.isStaff || isViewer(viewer, user.id));
}
