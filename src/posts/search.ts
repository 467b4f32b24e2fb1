import { searchSource } from '../search-index/source.ts';
import { visiblePosts } from './policy.ts';
import { POSTS_SCOPE } from './scopes.ts';

/** How posts are searched. */
export const postSearch = searchSource({
  model: 'Post',
  code: 3,
  title: 'title',
  text: 'content',
  time: 'createdAt',
  scope: { name: POSTS_SCOPE },
  isSeenWhole: false,
  scopesOf: async ({ viewer }) => (viewer.kind === 'user' ? [POSTS_SCOPE] : []),
  visible: visiblePosts,
});
