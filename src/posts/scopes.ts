/** The scope of all posts: every signed-in user reads them. */
export const POSTS_SCOPE = 'posts';
