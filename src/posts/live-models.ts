import type { Post } from '../generated/client/client.ts';
import { liveModel } from '../rest/live/model.ts';
import { postBody } from './bodies.ts';
import { watchPosts } from './live.ts';
import { findPost } from './service.ts';

/** Posts, as clients of `/ws/subscribe/` know them. */
export const postLiveModels = [
  liveModel<Post>({
    name: 'posts.Post',
    of: 'Post',
    parameters: {},
    groups: [],
    watch: watchPosts,
    find: findPost,
    instance: postBody,
  }),
];
