import { z } from 'zod';
import { permit, signedIn } from '../accounts/policy.ts';
import type { Context } from '../context.ts';
import { findBatched } from '../database/batch.ts';
import type { Condition } from '../database/condition.ts';
import { orNotFound } from '../database/failures.ts';
import { jsonOfRows } from '../database/json-rows.ts';
import type { JsonLayout, JsonShape } from '../database/json-sql.ts';
import { type Order, type OrderColumns, type Page, type PageArguments, readPage } from '../database/page.ts';
import { countRows, findIds, findRows, insertRow, updateRow } from '../database/rows.ts';
import type { RowQuery } from '../database/select-sql.ts';
import { NotFoundError } from '../errors.ts';
import type { Post } from '../generated/client/client.ts';
import { filterText, parseId, text, type Unchecked, validate } from '../validation.ts';
import { canChangePost, visiblePosts } from './policy.ts';

const MAX_TITLE = 50;
const MAX_CONTENT = 100_000;

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
    ...(titleContains != null && { title: { contains: filterText('titleContains', titleContains, MAX_TITLE) } }),
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
  context: Context,
  filter: PostFilter | null | undefined,
  order: Order<keyof typeof POST_ORDERS>,
  page: PageArguments,
): Promise<Page<Post>> {
  return readPage(
    context,
    {
      model: 'Post',
      where: visiblePosts(signedIn(context.viewer)),
      filter: filterWhere(filter),
      columns: POST_ORDERS,
    },
    page,
    order,
  );
}

export interface PostOrder {
  readonly column: 'id' | 'title' | 'content' | 'createdAt' | 'updatedAt';
  readonly direction: 'asc' | 'desc';
}

/** Which posts: in these orders, and by id where those leave it open; behind an id, or after so many; and how many of them, all when left out. */
export interface PostRun {
  readonly orders: readonly PostOrder[];
  readonly afterId?: number;
  readonly skip?: number;
  readonly take?: number;
}

/**
 * The ids of posts.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function findPostIds(context: Context, run: PostRun): Promise<number[]> {
  return findIds(context.database, 'Post', { ...queryOf(context, run, null), take: run.take ?? 0 });
}

/**
 * Posts as JSON, see {@link jsonOfRows}.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export function postsAsJson(
  context: Context,
  run: PostRun,
  shape: JsonShape,
  layout: JsonLayout,
): AsyncIterable<string> {
  const visible = visiblePosts(signedIn(context.viewer));
  const rows = { model: 'Post', shape, visible, ...(run.take !== undefined && { take: run.take }) } as const;
  return jsonOfRows(context.database, rows, (last) => queryOf(context, run, last), layout);
}

function queryOf({ viewer }: Context, { orders, afterId = 0, skip = 0 }: PostRun, last: Post | null): RowQuery<'Post'> {
  const all: readonly PostOrder[] = [...orders, { column: 'id', direction: 'asc' }];
  return {
    where: { AND: [visiblePosts(signedIn(viewer)), last ? behind(last, all) : { id: { gt: afterId } }] },
    orderBy: all.map(({ column, direction }) => ({ [column]: direction })),
    skip: last ? 0 : skip,
  };
}

/** The posts that follow one in an order: equal in its first columns, and beyond it in the next. */
function behind(post: Post, [first, ...others]: readonly PostOrder[]): Condition<'Post'> {
  if (!first) {
    return { id: { in: [] } };
  }
  const operator = first.direction === 'asc' ? 'gt' : 'lt';
  const beyond = { [first.column]: { [operator]: post[first.column] } };
  // Nothing else lies in the place of an id.
  if (first.column === 'id') {
    return beyond;
  }
  // The first bound follows from the others, and is where an index can begin: an OR is not.
  return {
    AND: [{ [first.column]: { [`${operator}e`]: post[first.column] } }, { OR: [beyond, behind(post, others)] }],
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
