import { z } from 'zod';
import { permit, signedIn } from '../accounts/policy.ts';
import type { Context } from '../context.ts';
import { byId, findBatched } from '../database/batch.ts';
import type { Condition } from '../database/condition.ts';
import { orNotFound } from '../database/failures.ts';
import { type Order, type OrderColumns, type Page, type PageArguments, readPage } from '../database/page.ts';
import { countRows, findIds, findRows, insertRow, updateRow } from '../database/rows.ts';
import { NotFoundError } from '../errors.ts';
import type { Post } from '../generated/client/client.ts';
import { parseId, text, type Unchecked, validate } from '../validation.ts';
import { canChangePost, visiblePosts } from './policy.ts';

const MAX_TITLE = 50;
const MAX_CONTENT = 100_000;
/** How many ids of a sorted list are read at once. */
const SORTED_AT_ONCE = 10_000;

export const POST_ORDERS = {
  id: 'number',
  title: 'text',
  createdAt: 'date',
  updatedAt: 'date',
} as const satisfies OrderColumns;

export const newPost = z.object({ title: text(MAX_TITLE), content: text(MAX_CONTENT) });
export const postChanges = newPost.partial();

export type NewPost = Unchecked<z.input<typeof newPost>>;
export type PostChanges = Unchecked<z.input<typeof postChanges>>;

/** Narrows a list of posts; what is left out does not narrow. */
export interface PostFilter {
  readonly authorId?: string | null | undefined;
  readonly titleContains?: string | null | undefined;
  readonly createdFrom?: Date | null | undefined;
  readonly createdBefore?: Date | null | undefined;
}

function filterWhere(filter: PostFilter | null | undefined): Condition<'Post'> {
  const { authorId, titleContains, createdFrom, createdBefore } = filter ?? {};
  return {
    ...(authorId != null && { authorId: parseId(authorId) ?? { in: [] } }),
    ...(titleContains != null && { title: { contains: titleContains } }),
    ...((createdFrom ?? createdBefore) && {
      createdAt: { ...(createdFrom && { gte: createdFrom }), ...(createdBefore && { lt: createdBefore }) },
    }),
  };
}

/**
 * One page of the posts.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function listPosts(
  { database, viewer }: Context,
  filter: PostFilter | null | undefined,
  order: Order<keyof typeof POST_ORDERS>,
  page: PageArguments,
): Promise<Page<Post>> {
  return readPage(
    database,
    {
      where: { AND: [visiblePosts(signedIn(viewer)), filterWhere(filter)] },
      columns: POST_ORDERS,
      model: 'Post',
    },
    page,
    order,
  );
}

export interface PostOrder {
  readonly column: 'id' | 'title' | 'content' | 'createdAt' | 'updatedAt';
  readonly direction: 'asc' | 'desc';
}

/** Where a run of posts starts: behind a post, behind an id, or after so many. */
export interface PostRun {
  readonly after?: Post | null;
  readonly afterId?: number;
  readonly skip?: number;
  readonly take: number;
}

/**
 * A run of the posts in the given orders, and by id where those leave it open.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function postsInOrder(
  context: Context,
  orders: readonly PostOrder[],
  run: PostRun,
): Promise<readonly Post[]> {
  return findRows(context.database, 'Post', runOf(context, orders, run));
}

/**
 * Reads all posts in the given orders, a run at a time: what it gives is called with the last post of the run before, and gives fewer than asked for at
 * the end only. Where the database has to sort for each run, it does so for thousands of ids at once.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export function postRuns(
  context: Context,
  orders: readonly PostOrder[],
): (after: Post | null, take: number) => Promise<readonly Post[]> {
  if ((orders[0]?.column ?? 'id') === 'id') {
    return (after, take) => postsInOrder(context, orders, { after, take });
  }
  let ids: number[] = [];
  return async (after, take) => {
    const posts: Post[] = [];
    while (posts.length < take) {
      if (ids.length === 0) {
        const run = runOf(context, orders, { after: posts.at(-1) ?? after, take: SORTED_AT_ONCE });
        ids = await findIds(context.database, 'Post', run);
      }
      if (ids.length === 0) {
        break;
      }
      const next = ids.splice(0, take - posts.length);
      const found = byId(await findRows(context.database, 'Post', { where: { id: { in: next } } }));
      // Some may be gone by now.
      posts.push(...next.flatMap((id) => found.get(id) ?? []));
    }
    return posts;
  };
}

function runOf(
  { viewer }: Context,
  orders: readonly PostOrder[],
  { after = null, afterId = 0, skip = 0, take }: PostRun,
) {
  const all: readonly PostOrder[] = [...orders, { column: 'id', direction: 'asc' }];
  return {
    where: { AND: [visiblePosts(signedIn(viewer)), after ? behind(after, all) : { id: { gt: afterId } }] },
    orderBy: all.map(({ column, direction }) => ({ [column]: direction })),
    skip,
    take,
  };
}

/** The posts that follow one in an order: equal in its first columns, and beyond it in the next. */
function behind(post: Post, orders: readonly PostOrder[]): Condition<'Post'> {
  const beyond = ({ column, direction }: PostOrder): Condition<'Post'> => ({
    [column]: { [direction === 'asc' ? 'gt' : 'lt']: post[column] },
  });
  const [first] = orders;
  // Nothing else lies in the place of an id, and alone it is where the database can begin to read.
  if (first?.column === 'id') {
    return beyond(first);
  }
  return {
    OR: orders.map((order, depth) => ({
      AND: [...orders.slice(0, depth).map((equal) => ({ [equal.column]: post[equal.column] })), beyond(order)],
    })),
  };
}

/**
 * How many posts there are.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function countPosts({ database, viewer }: Context): Promise<number> {
  return countRows(database, 'Post', visiblePosts(signedIn(viewer)));
}

/** The post with this id, when the viewer sees it; batched. */
export function findPost(context: Context, id: string | number): Promise<Post | undefined> {
  const { database, viewer } = context;
  return findBatched(context, 'Post', id, (ids) =>
    findRows(database, 'Post', { where: { AND: [{ id: { in: ids } }, visiblePosts(viewer)] } }),
  );
}

/** Publishes a post by the viewer. */
export async function createPost({ database, viewer }: Context, input: NewPost): Promise<Post> {
  const { id } = signedIn(viewer);
  return insertRow(database, 'Post', { ...validate(newPost, input), authorId: id });
}

/**
 * Changes the fields that are given.
 *
 * @throws {NotFoundError} when there is no such post
 * @throws {AppError} `FORBIDDEN` unless the viewer wrote it or is staff
 */
export async function updatePost(context: Context, id: string | number, input: PostChanges): Promise<Post> {
  const post = await changeablePost(context, id);
  const data = validate(postChanges, input);
  return updateRow(context.database, 'Post', { id: post.id }, data);
}

/**
 * Deletes a post and gives what it was.
 *
 * @throws {NotFoundError} when there is no such post
 * @throws {AppError} `FORBIDDEN` unless the viewer wrote it or is staff
 */
export async function deletePost(context: Context, id: string | number): Promise<Post> {
  const post = await changeablePost(context, id);
  return orNotFound(context.database.post.delete({ where: { id: post.id } }));
}

/**
 * The post with this id, which the viewer may change.
 *
 * @throws {NotFoundError} when there is no such post
 * @throws {AppError} `FORBIDDEN` unless the viewer wrote it or is staff
 */
export async function changeablePost(context: Context, id: string | number): Promise<Post> {
  signedIn(context.viewer);
  const post = await findPost(context, id);
  if (!post) {
    throw new NotFoundError();
  }
  permit(canChangePost(context.viewer, post));
  return post;
}
