import { z } from 'zod';
import type { Context } from '../context.ts';
import { byId } from '../database/batch.ts';
import { readChildPage } from '../database/child-pages.ts';
import type { Transaction } from '../database/client.ts';
import type { RowCondition } from '../database/condition.ts';
import { orMissingReference, orNotFound } from '../database/failures.ts';
import { filterCondition, idEquals, type ListArguments, type ListFilter, timeRange } from '../database/list-filters.ts';
import { type OrderColumns, type Page, readPage } from '../database/page.ts';
import { insertRow, updateRows } from '../database/rows.ts';
import { inTransaction } from '../database/transactions.ts';
import { NotFoundError, UnauthenticatedError, ValidationError } from '../errors.ts';
import type { Todo } from '../generated/client/client.ts';
import { ownerOfNewRow } from '../identity/ownership.ts';
import { findVisible } from '../identity/visible-rows.ts';
import { limitAnonymousWrite } from '../identity/write-limits.ts';
import { findTodoList } from '../todo-lists/service.ts';
import { boolean, filterText, requireId, text, type Unvalidated, validate } from '../validation.ts';
import { visibleTodos } from './policy.ts';

const MAX_TITLE = 140;
const MAX_DESCRIPTION = 2000;
/** How many todos one call may change. */
const MAX_BULK = 500;

export const TODO_ORDERS = {
  id: 'number',
  title: 'text',
  createdAt: 'date',
  updatedAt: 'date',
} as const satisfies OrderColumns;

const listId = z.union([z.string(), z.number()]).nullable().optional();

const newTodo = z.object({
  title: text(MAX_TITLE),
  description: text(MAX_DESCRIPTION, { blank: true }).nullable().optional(),
  completed: boolean().optional(),
  listId,
});
const todoChanges = newTodo.partial();

export type NewTodo = Unvalidated<z.input<typeof newTodo>>;
export type TodoChanges = Unvalidated<z.input<typeof todoChanges>>;

/** The conditions on a list of todos; a condition that is left out or null does not apply. */
export interface TodoFilter extends ListFilter<TodoFilter> {
  readonly completed?: boolean | null | undefined;
  readonly listId?: string | null | undefined;
  readonly titleContains?: string | null | undefined;
  readonly createdFrom?: Date | null | undefined;
  readonly createdBefore?: Date | null | undefined;
  readonly updatedFrom?: Date | null | undefined;
  readonly updatedBefore?: Date | null | undefined;
}

/** @throws {ValidationError} when `titleContains` is longer than a title */
function todoCondition(filter: Partial<TodoFilter>): RowCondition<'Todo'> {
  const { completed, listId, titleContains, createdFrom, createdBefore, updatedFrom, updatedBefore } = filter;
  return {
    ...(completed != null && { completed }),
    ...idEquals('listId', listId),
    ...(titleContains != null && { title: { contains: filterText('titleContains', titleContains, MAX_TITLE) } }),
    ...timeRange('createdAt', createdFrom, createdBefore),
    ...timeRange('updatedAt', updatedFrom, updatedBefore),
  };
}

type TodoListing = ListArguments<TodoFilter, typeof TODO_ORDERS>;

/** Returns one page of the todos that the viewer may see; see {@link readPage} for its errors. */
export async function listTodos(context: Context, { filter, order, page }: TodoListing): Promise<Page<Todo>> {
  const where = visibleTodos(context.viewer);
  return readPage(
    context,
    { model: 'Todo', where, filter: filterCondition(filter, todoCondition), columns: TODO_ORDERS },
    page,
    order,
  );
}

/** Returns one page of the todos of a list; the pages of several lists are read together. */
export async function listTodosOfList(
  context: Context,
  listId: number,
  { filter, order, page }: TodoListing,
): Promise<Page<Todo>> {
  const listing = {
    relation: { child: 'Todo', parent: 'TodoList', column: 'listId' },
    where: visibleTodos(context.viewer),
    filter: filterCondition(filter, todoCondition),
    columns: TODO_ORDERS,
  } as const;
  return readChildPage(context, listing, listId, page, order);
}

/** Returns the todo with this id if the viewer may see it; batched. */
export function findTodo(context: Context, id: string | number): Promise<Todo | undefined> {
  return findVisible(context, 'Todo', id, visibleTodos(context.viewer));
}

/**
 * Creates a todo. In a list it belongs to the owner of the list, otherwise to the viewer, so that a user who may delete a list may also delete its todos.
 *
 * @throws {ValidationError} when a field breaks its limits, or there is no such list that the viewer may see
 */
export async function createTodo(context: Context, input: NewTodo): Promise<Todo> {
  const { listId, ...fields } = validate(newTodo, input);
  const list = listId == null ? null : await listForTodo(context, listId);
  const made = insertRow(context.database, 'Todo', {
    ...fields,
    listId: list?.id ?? null,
    ownerId: list ? list.ownerId : ownerOfNewRow(context.viewer),
  });
  return orMissingReference(made, list ? noSuchList : () => new UnauthenticatedError());
}

/**
 * Changes the given fields of a todo; null removes the description, and removes the todo from its list.
 *
 * @throws {NotFoundError} when there is no such todo that the viewer may see
 * @throws {ValidationError} when a field breaks its limits, or the list and the todo have different owners
 */
export async function updateTodo(context: Context, id: string | number, input: TodoChanges): Promise<Todo> {
  const [todo] = await updateTodos(context, [id], input);
  if (!todo) {
    throw new NotFoundError();
  }
  return todo;
}

/**
 * Makes the same change to several todos, to all or to none, in one statement.
 *
 * @throws {NotFoundError} when the viewer may not see one of them
 * @throws {ValidationError} when a field breaks its limits, the list has another owner, or there are more than {@link MAX_BULK} ids
 */
export async function updateTodos(
  context: Context,
  ids: readonly (string | number)[],
  input: TodoChanges,
): Promise<Todo[]> {
  const keys = parseIds(ids);
  await limitAnonymousWrite(context, keys.length);
  const { listId, ...fields } = validate(todoChanges, input);
  const list = listId == null ? null : await listForTodo(context, listId);
  const visible = { AND: [{ id: { in: keys } }, visibleTodos(context.viewer)] };
  const change = async (client: Transaction): Promise<Todo[]> => {
    if (list && (await client.todo.count({ where: { AND: [visible, otherOwner(list.ownerId)] } })) > 0) {
      throw new ValidationError([{ path: 'listId', message: 'The list belongs to another owner.' }]);
    }
    const todos = await updateRows(client, 'Todo', visible, {
      ...fields,
      ...(listId !== undefined && { listId: list?.id ?? null }),
    });
    return inOrder(keys, todos);
  };
  // The change of a single todo needs no transaction.
  return keys.length === 1 && !list
    ? change(context.database)
    : orMissingReference(inTransaction(context.database, change), noSuchList);
}

/**
 * Deletes a todo and returns it as it was.
 *
 * @throws {NotFoundError} when there is no such todo that the viewer may see
 */
export async function deleteTodo(context: Context, id: string | number): Promise<Todo> {
  await limitAnonymousWrite(context);
  const { database, viewer } = context;
  return orNotFound(database.todo.delete({ where: { id: requireId(id), AND: [visibleTodos(viewer)] } }));
}

/**
 * Deletes several todos, all or none, in one statement. Returns their ids, each once.
 *
 * @throws {NotFoundError} when the viewer may not see one of them
 * @throws {ValidationError} when there are more than {@link MAX_BULK} ids
 */
export async function deleteTodos(context: Context, ids: readonly (string | number)[]): Promise<number[]> {
  const { database, viewer } = context;
  const keys = parseIds(ids);
  await limitAnonymousWrite(context, keys.length);
  await inTransaction(database, async (transaction) => {
    const { count } = await transaction.todo.deleteMany({
      where: { AND: [{ id: { in: keys } }, visibleTodos(viewer)] },
    });
    if (count !== keys.length) {
      throw new NotFoundError();
    }
  });
  return keys;
}

function parseIds(ids: readonly (string | number)[]): number[] {
  if (ids.length > MAX_BULK) {
    throw new ValidationError([{ path: 'ids', message: `Ensure this field has no more than ${MAX_BULK} elements.` }]);
  }
  return [...new Set(ids.map(requireId))];
}

function inOrder(keys: readonly number[], todos: readonly Todo[]): Todo[] {
  const found = byId(todos);
  return keys.map((key) => {
    const todo = found.get(key);
    if (!todo) {
      throw new NotFoundError();
    }
    return todo;
  });
}

function otherOwner(ownerId: number | null): RowCondition<'Todo'> {
  // In SQL a comparison with null is neither true nor false, so rows without an owner need a condition of their own.
  return ownerId === null ? { ownerId: { not: null } } : { OR: [{ ownerId: null }, { ownerId: { not: ownerId } }] };
}

async function listForTodo(context: Context, id: string | number) {
  const list = await findTodoList(context, id);
  if (!list) {
    throw noSuchList();
  }
  return list;
}

function noSuchList(): ValidationError {
  return new ValidationError([{ path: 'listId', message: 'List does not exist.' }]);
}
