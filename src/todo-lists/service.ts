import { z } from 'zod';
import type { Context } from '../context.ts';
import { loadRelated } from '../database/batch.ts';
import { matches, type RowCondition } from '../database/condition.ts';
import { orNotFound } from '../database/failures.ts';
import { filterCondition, type ListArguments, type ListFilter, timeRange } from '../database/list-filters.ts';
import { type OrderColumns, type Page, readPage } from '../database/page.ts';
import { findRows } from '../database/rows.ts';
import type { Todo, TodoList } from '../generated/client/client.ts';
import { ownerOfNewRow } from '../identity/ownership.ts';
import { findVisible } from '../identity/visible-rows.ts';
import { limitAnonymousWrite } from '../identity/write-limits.ts';
import { filterText, requireId, text, type Unvalidated, validate } from '../validation.ts';
import { visibleTodoLists } from './policy.ts';

const MAX_NAME = 64;

export const TODO_LIST_ORDERS = {
  id: 'number',
  name: 'text',
  createdAt: 'date',
  updatedAt: 'date',
} as const satisfies OrderColumns;

const newTodoList = z.object({ name: text(MAX_NAME) });
const todoListChanges = newTodoList.partial();

export type NewTodoList = Unvalidated<z.input<typeof newTodoList>>;
export type TodoListChanges = Unvalidated<z.input<typeof todoListChanges>>;

/** The conditions on a list of todo lists; a condition that is left out or null does not apply. */
export interface TodoListFilter extends ListFilter<TodoListFilter> {
  readonly nameContains?: string | null | undefined;
  readonly createdFrom?: Date | null | undefined;
  readonly createdBefore?: Date | null | undefined;
  readonly updatedFrom?: Date | null | undefined;
  readonly updatedBefore?: Date | null | undefined;
}

function todoListCondition(filter: Partial<TodoListFilter>): RowCondition<'TodoList'> {
  const { nameContains, createdFrom, createdBefore, updatedFrom, updatedBefore } = filter;
  return {
    ...(nameContains != null && { name: { contains: filterText('nameContains', nameContains, MAX_NAME) } }),
    ...timeRange('createdAt', createdFrom, createdBefore),
    ...timeRange('updatedAt', updatedFrom, updatedBefore),
  };
}

/** Returns one page of the todo lists that the viewer may see; see {@link readPage} for its errors. */
export async function listTodoLists(
  context: Context,
  { filter, order, page }: ListArguments<TodoListFilter, typeof TODO_LIST_ORDERS>,
): Promise<Page<TodoList>> {
  const where = visibleTodoLists(context.viewer);
  const condition = filterCondition(filter, todoListCondition);
  return readPage(context, { model: 'TodoList', where, filter: condition, columns: TODO_LIST_ORDERS }, page, order);
}

/** Returns the list with this id if the viewer may see it; batched. */
export function findTodoList(context: Context, id: string | number): Promise<TodoList | undefined> {
  return findVisible(context, 'TodoList', id, visibleTodoLists(context.viewer));
}

/** Returns the list of a todo that the viewer may see; batched. */
export async function findListOf(
  context: Context,
  { listId, ownerId }: Pick<Todo, 'listId' | 'ownerId'>,
): Promise<TodoList | undefined> {
  const { database, viewer } = context;
  if (listId === null) {
    return undefined;
  }
  const list = await loadRelated(context, 'TodoList', listId, (ids) =>
    findRows(database, 'TodoList', { where: { id: { in: ids } } }),
  );
  // A todo and its list have the same owner, so the same users may see them, unless raw SQL changed one of the owners.
  return list && (list.ownerId === ownerId || matches(visibleTodoLists(viewer), list)) ? list : undefined;
}

/**
 * Creates a list that belongs to the viewer, or that has no owner when the viewer is anonymous.
 *
 * @throws {UnauthenticatedError} when the viewer is anonymous and `ALLOW_ANONYMOUS` is off
 */
export async function createTodoList({ database, viewer }: Context, input: NewTodoList): Promise<TodoList> {
  return database.todoList.create({ data: { ...validate(newTodoList, input), ownerId: ownerOfNewRow(viewer) } });
}

/**
 * Changes the given fields of a list.
 *
 * @throws {NotFoundError} when there is no such list that the viewer may see
 */
export async function updateTodoList(context: Context, id: string | number, input: TodoListChanges): Promise<TodoList> {
  await limitAnonymousWrite(context);
  const { database, viewer } = context;
  const data = validate(todoListChanges, input);
  return orNotFound(database.todoList.update({ where: writable(viewer, id), data }));
}

/**
 * Deletes a list together with its todos, and returns it as it was.
 *
 * @throws {NotFoundError} when there is no such list that the viewer may see
 */
export async function deleteTodoList(context: Context, id: string | number): Promise<TodoList> {
  await limitAnonymousWrite(context);
  const { database, viewer } = context;
  return orNotFound(database.todoList.delete({ where: writable(viewer, id) }));
}

function writable(viewer: Context['viewer'], id: string | number) {
  return { id: requireId(id), AND: [visibleTodoLists(viewer)] };
}
