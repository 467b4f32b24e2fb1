import { signedIn } from '../accounts/policy.ts';
import { type Watch, wantedIds, watchRows } from '../changes/watch.ts';
import type { Context } from '../context.ts';
import { visiblePosts } from './policy.ts';

/**
 * The posts that the viewer sees; with `id` only this one.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export function watchPosts({ viewer, database }: Context, { id }: { id?: string | null | undefined }): Watch {
  return watchRows({
    viewer,
    model: 'Post',
    policy: visiblePosts(signedIn(viewer)),
    wanted: wantedIds({ id }),
    find: (ids) => database.post.findMany({ where: { id: { in: ids } } }),
  });
}
