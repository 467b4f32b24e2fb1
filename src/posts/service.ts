import { z } from 'zod';
import type { Context } from '../context.ts';
import type { Condition, RowCondition } from '../database/condition.ts';
import { orNotFound } from '../database/failures.ts';
import { jsonOfRows } from '../database/json-rows.ts';
import type { JsonLayout, JsonShape } from '../database/json-sql.ts';
import { filterCondition, idEquals, type ListArguments, type ListFilter, timeRange } from '../database/list-filters.ts';
import { type OrderColumns, type Page, readPage } from '../database/page.ts';
import { countRows, findIds, insertRow, updateRow } from '../database/rows.ts';
import type { RowQuery } from '../database/select-sql.ts';
import { NotFoundError } from '../errors.ts';
import type { Post } from '../generated/client/client.ts';
import { requirePermission, requireUser } from '../identity/rights.ts';
import { findVisible } from '../identity/visible-rows.ts';
import { filterText, text, type Unvalidated, validate } from '../validation.ts';
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

export type NewPost = Unvalidated<z.input<typeof newPost>>;
export type PostChanges = Unvalidated<z.input<typeof postChanges>>;

/** The conditions on a list of posts; a condition that is left out or null does not apply. */
export interface PostFilter extends ListFilter<PostFilter> {
  readonly authorId?: string | null | undefined;
  readonly titleContains?: string | null | undefined;
  readonly createdFrom?: Date | null | undefined;
  readonly createdBefore?: Date | null | undefined;
  readonly updatedFrom?: Date | null | undefined;
  readonly updatedBefore?: Date | null | undefined;
}

function postCondition(filter: Partial<PostFilter>): RowCondition<'Post'> {
  const { authorId, titleContains, createdFrom, createdBefore, updatedFrom, updatedBefore } = filter;
  return {
    ...idEquals('authorId', authorId),
    ...(titleContains != null && { title: { contains: filterText('titleContains', titleContains, MAX_TITLE) } }),
    ...timeRange('createdAt', createdFrom, createdBefore),
    ...timeRange('updatedAt', updatedFrom, updatedBefore),
  };
}

/**
 * Returns one page of the posts; see {@link readPage} for its other errors.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function listPosts(
  context: Context,
  { filter, order, page }: ListArguments<PostFilter, typeof POST_ORDERS>,
): Promise<Page<Post>> {
  const where = visiblePosts(requireUser(context.viewer));
  return readPage(
    context,
    { model: 'Post', where, filter: filterCondition(filter, postCondition), columns: POST_ORDERS },
    page,
    order,
  );
}

export interface PostOrder {
  readonly column: 'id' | 'title' | 'content' | 'createdAt' | 'updatedAt';
  readonly direction: 'asc' | 'desc';
}

/** Selects posts in these orders and then by id: those with an id above `afterId`, without the first `skip` of them; at most `take`, or all. */
export interface PostRun {
  readonly orders: readonly PostOrder[];
  readonly afterId?: number;
  readonly skip?: number;
  readonly take?: number;
}

/**
 * Returns the ids of posts.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function findPostIds(context: Context, run: PostRun): Promise<number[]> {
  return findIds(context.database, 'Post', { ...queryOf(context, run, null), take: run.take ?? 0 });
}

/**
 * Returns posts as JSON; see {@link jsonOfRows}.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export function postsAsJson(
  context: Context,
  run: PostRun,
  shape: JsonShape,
  layout: JsonLayout,
): AsyncIterable<string> {
  const visible = visiblePosts(requireUser(context.viewer));
  const rows = { model: 'Post', shape, visible, ...(run.take !== undefined && { take: run.take }) } as const;
  return jsonOfRows(context.database, rows, (last) => queryOf(context, run, last), layout);
}

function queryOf({ viewer }: Context, { orders, afterId = 0, skip = 0 }: PostRun, last: Post | null): RowQuery<'Post'> {
  const all: readonly PostOrder[] = [...orders, { column: 'id', direction: 'asc' }];
  return {
    where: { AND: [visiblePosts(requireUser(viewer)), last ? following(last, all) : { id: { gt: afterId } }] },
    orderBy: all.map(({ column, direction }) => ({ [column]: direction })),
    skip: last ? 0 : skip,
  };
}

/** Returns the condition of the posts that follow a post in an order: equal in the first columns, and beyond it in the next one. */
function following(post: Post, [first, ...others]: readonly PostOrder[]): Condition<'Post'> {
  if (!first) {
    return { id: { in: [] } };
  }
  const operator = first.direction === 'asc' ? 'gt' : 'lt';
  const beyond = { [first.column]: { [operator]: post[first.column] } };
  // Ids are unique, so no further column decides.
  if (first.column === 'id') {
    return beyond;
  }
  // The first bound follows from the others. It lets an index scan begin there, which an OR does not.
  return {
    AND: [{ [first.column]: { [`${operator}e`]: post[first.column] } }, { OR: [beyond, following(post, others)] }],
  };
}

/**
 * Returns the number of posts.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function countPosts({ database, viewer }: Context): Promise<number> {
  return countRows(database, 'Post', visiblePosts(requireUser(viewer)));
}

/** Returns the post with this id if the viewer may see it; batched. */
export function findPost(context: Context, id: string | number): Promise<Post | undefined> {
  return findVisible(context, 'Post', id, visiblePosts(context.viewer));
}

/**
 * Creates a post by the viewer.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function createPost({ database, viewer }: Context, input: NewPost): Promise<Post> {
  const { id } = requireUser(viewer);
  return insertRow(database, 'Post', { ...validate(newPost, input), authorId: id });
}

/**
 * Changes the given fields of a post.
 *
 * @throws {NotFoundError} when there is no such post
 * @throws {AppError} `FORBIDDEN` unless the viewer wrote it or is staff
 */
export async function updatePost(context: Context, id: string | number, input: PostChanges): Promise<Post> {
  const post = await requireChangeablePost(context, id);
  const data = validate(postChanges, input);
  return updateRow(context.database, 'Post', { id: post.id }, data);
}

/**
 * Deletes a post and returns it as it was.
 *
 * @throws {NotFoundError} when there is no such post
 * @throws {AppError} `FORBIDDEN` unless the viewer wrote it or is staff
 */
export async function deletePost(context: Context, id: string | number): Promise<Post> {
  const post = await requireChangeablePost(context, id);
  return orNotFound(context.database.post.delete({ where: { id: post.id } }));
}

/**
 * Returns the post with this id, which the viewer may change.
 *
 * @throws {NotFoundError} when there is no such post
 * @throws {AppError} `FORBIDDEN` unless the viewer wrote it or is staff
 */
export async function requireChangeablePost(context: Context, id: string | number): Promise<Post> {
  requireUser(context.viewer);
  const post = await findPost(context, id);
  if (!post) {
    throw new NotFoundError();
  }
  requirePermission(canChangePost(context.viewer, post));
  return post;
}
