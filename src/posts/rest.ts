import { z } from 'zod';
import type { Config } from '../config/config.ts';
import type { Context } from '../context.ts';
import { NotFoundError } from '../errors.ts';
import { DJANGO } from '../rest/dialect.ts';
import { textField } from '../rest/fields.ts';
import type { LongList } from '../rest/list-text.ts';
import { adjacentPages, afterIdOf, limitOf, nextLink, offsetOf } from '../rest/paging.ts';
import { type Answer, type Operation, operation, type Resource, type RestCall } from '../rest/resource.ts';
import { LISTED_POST, postBody } from './bodies.ts';
import {
  countPosts,
  createPost,
  deletePost,
  findPost,
  findPostIds,
  newPost,
  type PostOrder,
  type PostRun,
  postChanges,
  postsAsJson,
  requireChangeablePost,
  updatePost,
} from './service.ts';

const MISSING = { 401: 'No credential, or a rejected one.', 404: 'There is no such post.' };
const REJECTED = 'The rejected fields, with the reasons.';

/** Returns the documented paths of the posts application. `POSTS_WRITABLE` adds the methods that write. */
export function postResources({ postsWritable }: Config['rest']): readonly Resource[] {
  const shared = { tag: 'Posts', dialect: DJANGO, access: 'signedIn', challenge: 'JWT realm="api"' } as const;
  return [
    {
      ...shared,
      path: '/api/posts',
      name: 'Post List',
      description: 'All posts, by id.',
      methods: { GET: listing, ...(postsWritable && { POST: creation }) },
    },
    {
      ...shared,
      path: '/api/posts/:id',
      name: 'Post Detail',
      description: 'One post.',
      methods: { GET: reading, ...(postsWritable && { PUT: replacement, PATCH: change, DELETE: deletion }) },
    },
  ];
}

const listing: Operation = {
  summary: 'Lists the posts',
  query: {
    limit:
      'The number of posts, 1 to 1000; the answer is an object with `count`, `next`, `previous` and `results`. Without it, all posts as an array.',
    offset: 'The number of posts to skip, with `limit`.',
    ordering: 'Names of fields, separated by commas; a leading `-` means descending.',
    cursor: 'With `limit`: a page by key, as an array; the `Link` header has the next page. Empty for the first page.',
  },
  answers: { 200: 'The posts.', 401: MISSING[401] },
  handle: async ({ context, url }) => {
    const limit = limitOf(url);
    const cursor = limit === null ? null : afterIdOf(url);
    if (limit === null) {
      return { status: 200, list: listOf(context, { orders: orderingOf(url) }) };
    }
    return cursor === null ? pageByOffset(context, url, limit) : pageByKey(context, url, limit, cursor);
  },
};

function listOf(context: Context, run: PostRun): LongList {
  return { items: (layout) => postsAsJson(context, run, LISTED_POST, layout) };
}

async function pageByOffset(context: Context, url: URL, limit: number): Promise<Answer> {
  const offset = offsetOf(url);
  const count = await countPosts(context);
  const head = { count, ...adjacentPages(url, { limit, offset, count }) };
  const run = { orders: orderingOf(url), skip: offset, take: offset < count ? limit : 0 };
  return { status: 200, list: { head, name: 'results', ...listOf(context, run) } };
}

async function pageByKey(context: Context, url: URL, limit: number, afterId: number): Promise<Answer> {
  const run = { orders: [], afterId };
  const ids = await findPostIds(context, { ...run, take: limit + 1 });
  return {
    status: 200,
    headers: nextLink(url, ids[limit - 1], ids.length > limit),
    list: listOf(context, { ...run, take: limit }),
  };
}

function orderingOf({ searchParams }: URL): PostOrder[] {
  const orders = new Map<string, PostOrder>();
  for (const part of (searchParams.get('ordering') ?? '').split(',')) {
    const [, minus = '', name = ''] = /^\s*(-?)(\w+)\s*$/.exec(part) ?? [];
    // A second occurrence of a column does not change the order.
    if (Object.hasOwn(LISTED_POST, name) && !orders.has(name)) {
      orders.set(name, { column: LISTED_POST[name as keyof typeof LISTED_POST], direction: minus ? 'desc' : 'asc' });
    }
  }
  return [...orders.values()];
}

const reading: Operation = {
  summary: 'Reads a post',
  answers: { 200: 'The post.', ...MISSING },
  handle: async ({ context, params }) => {
    const post = await findPost(context, params['id'] ?? '');
    if (!post) {
      throw new NotFoundError();
    }
    return { status: 200, body: postBody(post) };
  },
};

const postFields = z.object({ title: textField(newPost.shape.title), content: textField(newPost.shape.content) });
const changedFields = z.object({
  title: textField(postChanges.shape.title).optional(),
  content: textField(postChanges.shape.content).optional(),
});

const creation: Operation = operation({
  summary: 'Creates a post',
  body: postFields,
  answers: { 201: 'The post.', 400: REJECTED, 401: MISSING[401] },
  handle: async ({ context, body }) => ({ status: 201, body: postBody(await createPost(context, body)) }),
});

async function writePost({ context, params, body }: RestCall<z.infer<typeof changedFields>>): Promise<Answer> {
  return { status: 200, body: postBody(await updatePost(context, params['id'] ?? '', body)) };
}

const mayChange: Operation['guard'] = ({ context, params }) => requireChangeablePost(context, params['id'] ?? '');

const WRITES = { 400: REJECTED, 403: 'The post belongs to another author.', ...MISSING };

const replacement: Operation = operation({
  summary: 'Changes a whole post',
  body: postFields,
  guard: mayChange,
  answers: { 200: 'The post.', ...WRITES },
  handle: writePost,
});

const change: Operation = operation({
  summary: 'Changes parts of a post',
  body: changedFields,
  guard: mayChange,
  answers: { 200: 'The post.', ...WRITES },
  handle: writePost,
});

const deletion: Operation = {
  summary: 'Deletes a post',
  answers: { 204: 'The post is deleted.', 403: WRITES[403], ...MISSING },
  handle: async ({ context, params }) => {
    await deletePost(context, params['id'] ?? '');
    return { status: 204 };
  },
};
