import type { Post } from '../generated/client/client.ts';
import { legacyModel } from '../legacy-socket/model.ts';
import { postBody } from './bodies.ts';
import { findPost } from './service.ts';
import { watchPosts } from './watch.ts';

/** The model of posts for clients of `/ws/subscribe/`. */
export const postLegacyModels = [
  legacyModel<Post>({
    name: 'posts.Post',
    source: 'Post',
    parameters: {},
    groups: [],
    watch: watchPosts,
    find: findPost,
    instance: postBody,
  }),
];
