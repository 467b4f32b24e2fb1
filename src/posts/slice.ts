import type { Slice } from '../slice.ts';
import { postLegacyModels } from './legacy-socket.ts';
import { postResources } from './rest.ts';
import { definePosts } from './schema.ts';
import { POSTS_SCOPE } from './scopes.ts';
import { postSearch } from './search.ts';
import { definePostSubscriptions } from './subscriptions.ts';

/** Posts: articles that every signed-in user reads. */
export const posts: Slice = {
  models: { Post: { scope: { name: POSTS_SCOPE }, unfiltered: ['content'] } },
  search: [postSearch],
  schema: [definePosts, definePostSubscriptions],
  rest: postResources,
  legacyModels: postLegacyModels,
};
