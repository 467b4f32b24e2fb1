import { NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { IDEMPOTENCY_KEY, idempotent } from '../graphql/idempotent-mutation.ts';
import { encodeNodeId, toDatabaseId, withDatabaseIds } from '../graphql/node-ids.ts';
import { createTodo, deleteTodo, deleteTodos, updateTodo, updateTodos } from './service.ts';

/** The complexity of each todo of a bulk mutation: with the default limit, one operation can write as many todos as one call may. */
const BULK_COST = 25;

function bulkCost({ ids }: { readonly ids: readonly unknown[] }): number {
  return BULK_COST * ids.length;
}

/** The ids among the fields of a todo, and the types of their objects. */
const LIST = { listId: 'TodoList' } as const;

function toTodoIds(ids: readonly string[]): string[] {
  return ids.map((id) => toDatabaseId('Todo', id));
}

/** Defines the mutations of todos. */
export function defineTodoMutations(builder: Builder): void {
  const changes = defineTodoChanges(builder);
  defineMutationsOfOne(builder, changes);
  defineBulkMutations(builder, changes);
}

function defineTodoChanges(builder: Builder) {
  return builder.inputType('UpdateTodoInput', {
    description:
      'The fields of a todo to change. A field that is left out keeps its value; null is rejected where it is not mentioned.',
    fields: (t) => ({
      title: t.string({ description: 'The new title, 1 to 140 characters; white space around it is removed.' }),
      description: t.string({ description: 'The new details, at most 2000 characters; null removes them.' }),
      completed: t.boolean({ description: 'Whether the todo is completed.' }),
      listId: t.id({
        description: 'The `id` of a list of the same owner to move the todo to; null removes it from its list.',
      }),
    }),
  });
}

type TodoChangesRef = ReturnType<typeof defineTodoChanges>;

function defineMutationsOfOne(builder: Builder, changes: TodoChangesRef): void {
  const newTodo = builder.inputType('CreateTodoInput', {
    description: 'The fields of a new todo.',
    fields: (t) => ({
      title: t.string({
        required: true,
        description: 'The title, 1 to 140 characters; white space around it is removed.',
      }),
      description: t.string({ description: 'More details, at most 2000 characters; null or left out for none.' }),
      completed: t.boolean({ description: 'Whether the todo is completed already; false when left out.' }),
      listId: t.id({
        description:
          'The `id` of the list to add the todo to, which must be one that the viewer may see. The todo then belongs to the owner of that list.',
      }),
    }),
  });

  builder.mutationFields((t) => ({
    createTodo: t.field({
      type: 'Todo',
      description:
        'Creates a todo that belongs to the viewer or, in a list, to the owner of the list. Without a credential it has no owner, so that everybody may read and change it; `UNAUTHENTICATED` where the server does not allow that, `RATE_LIMITED` after too many such writes from one IP address.',
      errors: { types: [ValidationError] },
      args: {
        input: t.arg({ type: newTodo, required: true, description: 'The fields of the new todo.' }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: idempotent('createTodo', (context, { input }) => createTodo(context, withDatabaseIds(input, LIST))),
    }),
    updateTodo: t.field({
      type: 'Todo',
      description: 'Changes a todo that the viewer may see.',
      errors: { types: [ValidationError, NotFoundError] },
      args: {
        id: t.arg.id({ required: true, description: 'The `id` of the todo.' }),
        input: t.arg({ type: changes, required: true, description: 'The fields to change.' }),
      },
      resolve: (_root, { id, input }, context) =>
        updateTodo(context, toDatabaseId('Todo', id), withDatabaseIds(input, LIST)),
    }),
    deleteTodo: t.field({
      type: 'Todo',
      description: 'Deletes a todo that the viewer may see, and returns it as it was.',
      errors: { types: [NotFoundError] },
      args: { id: t.arg.id({ required: true, description: 'The `id` of the todo.' }) },
      resolve: (_root, { id }, context) => deleteTodo(context, toDatabaseId('Todo', id)),
    }),
  }));
}

function defineBulkMutations(builder: Builder, changes: TodoChangesRef): void {
  const updated = builder.objectRef<{ todos: Awaited<ReturnType<typeof updateTodos>> }>('UpdatedTodos').implement({
    description: 'The todos that `updateTodos` changed.',
    fields: (t) => ({
      todos: t.field({
        type: ['Todo'],
        description:
          'The todos after the change, in the order of the ids of the request; an id that was given twice counts once.',
        resolve: ({ todos }) => todos,
      }),
    }),
  });
  const deleted = builder.objectRef<{ ids: number[] }>('DeletedTodos').implement({
    description: 'The todos that `deleteTodos` deleted.',
    fields: (t) => ({
      ids: t.idList({
        description:
          'The `id`s of the deleted todos, in the order of the request; an id that was given twice occurs once. Remove them from client caches.',
        resolve: ({ ids }) => ids.map((id) => encodeNodeId('Todo', id)),
      }),
    }),
  });

  builder.mutationFields((t) => ({
    updateTodos: t.field({
      type: updated,
      description:
        'Makes the same change to up to 500 todos in one transaction: to all of them or, when one is not found or a value is rejected, to none.',
      complexity: bulkCost,
      errors: { types: [ValidationError, NotFoundError] },
      args: {
        ids: t.arg.idList({ required: true, description: 'The `id`s of the todos; at most 500.' }),
        input: t.arg({ type: changes, required: true, description: 'The fields to change, the same on each todo.' }),
      },
      resolve: async (_root, { ids, input }, context) => ({
        todos: await updateTodos(context, toTodoIds(ids), withDatabaseIds(input, LIST)),
      }),
    }),
    deleteTodos: t.field({
      type: deleted,
      description: 'Deletes up to 500 todos in one transaction: all of them or, when one is not found, none.',
      complexity: bulkCost,
      errors: { types: [ValidationError, NotFoundError] },
      args: { ids: t.arg.idList({ required: true, description: 'The `id`s of the todos; at most 500.' }) },
      resolve: async (_root, { ids }, context) => ({ ids: await deleteTodos(context, toTodoIds(ids)) }),
    }),
  }));
}
