import type { SubscriptionFilter } from '../changes/filter.ts';
import type { Context } from '../context.ts';
import { requireUser } from '../identity/rights.ts';
import { watchRows } from '../identity/row-watch.ts';
import { visiblePosts } from './policy.ts';
import { POSTS_SCOPE } from './scopes.ts';

/**
 * Subscribes to the posts that the viewer may see, or to the one with this id.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export function watchPosts(context: Context, { id }: { id?: string | null | undefined }): SubscriptionFilter {
  const policy = visiblePosts(requireUser(context.viewer));
  return watchRows(context, { model: 'Post', scopes: [POSTS_SCOPE], policy, ids: { id } });
}
