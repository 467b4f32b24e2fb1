import type { Slice } from '../slice.ts';

/** The scope of all posts: every signed-in user reads them. */
export const POSTS_SCOPE = 'posts';

export const posts: Slice = { log: { Post: { scope: { name: POSTS_SCOPE }, unfiltered: ['content'] } } };
