import type { Post } from '../generated/client/client.ts';
import { legacyModel } from '../legacy-socket/model.ts';
import { postBody } from './bodies.ts';
import { findPost } from './service.ts';
import { watchPosts } from './watch.ts';

/** Posts, as clients of `/ws/subscribe/` know them. */
export const postLegacyModels = [
  legacyModel<Post>({
    name: 'posts.Post',
    of: 'Post',
    parameters: {},
    groups: [],
    watch: watchPosts,
    find: findPost,
    instance: postBody,
  }),
];
