import { z } from 'zod';
import { ownerOfNewRow } from '../accounts/policy.ts';
import { limitAnonymousWrite } from '../accounts/write-limits.ts';
import type { Context } from '../context.ts';
import { byId, findBatched } from '../database/batch.ts';
import { readChildPage } from '../database/child-pages.ts';
import type { RowCondition } from '../database/condition.ts';
import { orGone, orNotFound } from '../database/failures.ts';
import { type Order, type OrderColumns, type Page, type PageArguments, readPage } from '../database/page.ts';
import { findRows, insertRow, updateRows } from '../database/rows.ts';
import { inTransaction, type Transaction } from '../database/transactions.ts';
import { NotFoundError, UnauthenticatedError, ValidationError } from '../errors.ts';
import type { Todo } from '../generated/client/client.ts';
import { existingId, filterText, parseId, text, truth, type Unchecked, validate } from '../validation.ts';
import { findTodoList } from './lists.ts';
import { visibleTodos } from './policy.ts';

const MAX_TITLE = 140;
const MAX_DESCRIPTION = 2000;
/** How many todos one call may change. */
export const MAX_BULK = 500;

export const TODO_ORDERS = {
  id: 'number',
  title: 'text',
  createdAt: 'date',
  updatedAt: 'date',
} as const satisfies OrderColumns;

export type TodoOrderColumn = keyof typeof TODO_ORDERS;

const listId = z.union([z.string(), z.number()]).nullable().optional();

const newTodo = z.object({
  title: text(MAX_TITLE),
  description: text(MAX_DESCRIPTION, { blank: true }).nullable().optional(),
  completed: truth().optional(),
  listId,
});
const todoChanges = newTodo.partial();

export type NewTodo = Unchecked<z.input<typeof newTodo>>;
export type TodoChanges = Unchecked<z.input<typeof todoChanges>>;

/** Narrows a list of todos; what is left out does not narrow. */
export interface TodoFilter {
  readonly completed?: boolean | null | undefined;
  readonly listId?: string | null | undefined;
  readonly titleContains?: string | null | undefined;
  readonly createdFrom?: Date | null | undefined;
  readonly createdBefore?: Date | null | undefined;
}

/**
 * A filter as a condition on rows.
 *
 * @throws {ValidationError} when its text is longer than a title
 */
export function todoFilterWhere(filter: TodoFilter | null | undefined): RowCondition<'Todo'> {
  const { completed, listId, titleContains, createdFrom, createdBefore } = filter ?? {};
  return {
    ...(completed != null && { completed }),
    ...(listId != null && { listId: parseId(listId) ?? { in: [] } }),
    ...(titleContains != null && { title: { contains: filterText('titleContains', titleContains, MAX_TITLE) } }),
    ...((createdFrom ?? createdBefore) && {
      createdAt: { ...(createdFrom && { gte: createdFrom }), ...(createdBefore && { lt: createdBefore }) },
    }),
  };
}

/** One page of the todos that the viewer sees; see {@link readPage} for its failures. */
export async function listTodos(
  context: Context,
  filter: TodoFilter | null | undefined,
  order: Order<TodoOrderColumn>,
  page: PageArguments,
): Promise<Page<Todo>> {
  return readPage(
    context,
    {
      model: 'Todo',
      where: visibleTodos(context.viewer),
      filter: todoFilterWhere(filter),
      columns: TODO_ORDERS,
    },
    page,
    order,
  );
}

/** One page of the todos of a list; the pages of many lists are read together. */
export async function listTodosOfList(
  context: Context,
  listId: number,
  filter: TodoFilter | null | undefined,
  order: Order<TodoOrderColumn>,
  page: PageArguments,
): Promise<Page<Todo>> {
  return readChildPage(
    context,
    {
      relation: { child: 'Todo', parent: 'TodoList', column: 'listId' },
      where: visibleTodos(context.viewer),
      filter: todoFilterWhere(filter),
      columns: TODO_ORDERS,
    },
    listId,
    page,
    order,
  );
}

/** The todo with this id, when the viewer sees it; batched. */
export function findTodo(context: Context, id: string | number): Promise<Todo | undefined> {
  const { database, viewer } = context;
  return findBatched(context, 'Todo', id, (ids) =>
    findRows(database, 'Todo', { where: { AND: [{ id: { in: ids } }, visibleTodos(viewer)] } }),
  );
}

/**
 * Makes a todo. In a list it belongs to the list's owner, elsewhere to the viewer; so whoever may delete a list may delete
 * all that goes with it.
 *
 * @throws {ValidationError} when a field breaks its limits or the viewer sees no such list
 */
export async function createTodo(context: Context, input: NewTodo): Promise<Todo> {
  const { listId, ...fields } = validate(newTodo, input);
  const list = listId == null ? null : await listForTodo(context, listId);
  const made = insertRow(context.database, 'Todo', {
    ...fields,
    listId: list?.id ?? null,
    ownerId: list ? list.ownerId : ownerOfNewRow(context.viewer),
  });
  return orGone(made, list ? noSuchList : () => new UnauthenticatedError());
}

/**
 * Changes the fields that are given; null clears the description and takes the todo out of its list.
 *
 * @throws {NotFoundError} when the viewer sees no such todo
 * @throws {ValidationError} when a field breaks its limits, or the list belongs to somebody else than the todo
 */
export async function updateTodo(context: Context, id: string | number, input: TodoChanges): Promise<Todo> {
  const [todo] = await updateTodos(context, [id], input);
  if (!todo) {
    throw new NotFoundError();
  }
  return todo;
}

/**
 * Makes the same change to many todos, all or none, in one statement.
 *
 * @throws {NotFoundError} when the viewer does not see every one of them
 * @throws {ValidationError} when a field breaks its limits, a list belongs to somebody else, or there are more than {@link MAX_BULK} ids
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
  // One todo is all or none by itself.
  return keys.length === 1 && !list
    ? change(context.database)
    : orGone(inTransaction(context.database, change), noSuchList);
}

/**
 * Deletes a todo and gives what it was.
 *
 * @throws {NotFoundError} when the viewer sees no such todo
 */
export async function deleteTodo(context: Context, id: string | number): Promise<Todo> {
  await limitAnonymousWrite(context);
  const { database, viewer } = context;
  return orNotFound(database.todo.delete({ where: { id: existingId(id), AND: [visibleTodos(viewer)] } }));
}

/**
 * Deletes many todos, all or none, in one statement.
 *
 * @throws {NotFoundError} when the viewer does not see every one of them
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
  return [...new Set(ids.map(existingId))];
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
  // In SQL a comparison with null is neither true nor false, so the unowned have to be named.
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
