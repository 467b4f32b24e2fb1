import type { Prisma } from '../generated/client/client.ts';
import { isViewer, type Viewer } from '../viewer.ts';

/** The posts that the viewer may read: all of them once signed in. */
export function visiblePosts(viewer: Viewer): Prisma.PostWhereInput {
  return viewer.kind === 'user' ? {} : { id: { in: [] } };
}

/** Whether the viewer may change or delete the post: its author and staff may. */
export function canChangePost(viewer: Viewer, post: { readonly authorId: number | null }): boolean {
  return viewer.kind === 'user' && (viewer.isStaff || isViewer(viewer, post.authorId));
}
