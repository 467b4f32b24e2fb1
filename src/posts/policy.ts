import type { RowPolicy } from '../database/condition.ts';
import { isViewer, type Viewer } from '../viewer.ts';

/** Returns the policy of posts: signed-in viewers may read all of them. */
export function visiblePosts(viewer: Viewer): RowPolicy<'Post'> {
  return viewer.kind === 'user' ? {} : { id: { in: [] } };
}

/** Returns whether the viewer may change or delete the post: its author and staff may. */
export function canChangePost(viewer: Viewer, post: { readonly authorId: number | null }): boolean {
  return viewer.kind === 'user' && (viewer.isStaff || isViewer(viewer, post.authorId));
}
