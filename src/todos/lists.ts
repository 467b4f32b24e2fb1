import { z } from 'zod';
import { ownerOfNewRow } from '../accounts/policy.ts';
import { limitAnonymousWrite } from '../accounts/write-limits.ts';
import type { Context } from '../context.ts';
import { findBatched, loadRelated } from '../database/batch.ts';
import { matches } from '../database/condition.ts';
import { orNotFound } from '../database/failures.ts';
import { type Order, type OrderColumns, type Page, type PageArguments, readPage } from '../database/page.ts';
import { findRows } from '../database/rows.ts';
import type { Todo, TodoList } from '../generated/client/client.ts';
import { existingId, filterText, text, type Unchecked, validate } from '../validation.ts';
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

export type NewTodoList = Unchecked<z.input<typeof newTodoList>>;
export type TodoListChanges = Unchecked<z.input<typeof todoListChanges>>;

/** Narrows a list of todo lists; what is left out does not narrow. */
export interface TodoListFilter {
  readonly nameContains?: string | null | undefined;
}

/** One page of the todo lists that the viewer sees; see {@link readPage} for its failures. */
export async function listTodoLists(
  context: Context,
  filter: TodoListFilter | null | undefined,
  order: Order<keyof typeof TODO_LIST_ORDERS>,
  page: PageArguments,
): Promise<Page<TodoList>> {
  const name = filter?.nameContains;
  return readPage(
    context,
    {
      model: 'TodoList',
      where: visibleTodoLists(context.viewer),
      filter: name == null ? {} : { name: { contains: filterText('nameContains', name, MAX_NAME) } },
      columns: TODO_LIST_ORDERS,
    },
    page,
    order,
  );
}

/** The list with this id, when the viewer sees it; batched. */
export function findTodoList(context: Context, id: string | number): Promise<TodoList | undefined> {
  const { database, viewer } = context;
  return findBatched(context, 'TodoList', id, (ids) =>
    findRows(database, 'TodoList', { where: { AND: [{ id: { in: ids } }, visibleTodoLists(viewer)] } }),
  );
}

/** The list that holds a todo which the viewer sees; batched. */
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
  // A todo and its list have the same owner, and so the same viewers, unless raw SQL parted them.
  return list && (list.ownerId === ownerId || matches(visibleTodoLists(viewer), list)) ? list : undefined;
}

/** Makes a list that belongs to the viewer, or to everybody when the viewer is anonymous. */
export async function createTodoList({ database, viewer }: Context, input: NewTodoList): Promise<TodoList> {
  return database.todoList.create({ data: { ...validate(newTodoList, input), ownerId: ownerOfNewRow(viewer) } });
}

/**
 * Changes the fields that are given.
 *
 * @throws {NotFoundError} when the viewer sees no such list
 */
export async function updateTodoList(context: Context, id: string | number, input: TodoListChanges): Promise<TodoList> {
  await limitAnonymousWrite(context);
  const { database, viewer } = context;
  const data = validate(todoListChanges, input);
  return orNotFound(database.todoList.update({ where: writable(viewer, id), data }));
}

/**
 * Deletes a list together with its todos and gives what it was.
 *
 * @throws {NotFoundError} when the viewer sees no such list
 */
export async function deleteTodoList(context: Context, id: string | number): Promise<TodoList> {
  await limitAnonymousWrite(context);
  const { database, viewer } = context;
  return orNotFound(database.todoList.delete({ where: writable(viewer, id) }));
}

function writable(viewer: Context['viewer'], id: string | number) {
  return { id: existingId(id), AND: [visibleTodoLists(viewer)] };
}
