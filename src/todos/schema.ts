import { loadUser, withUsers } from '../accounts/service.ts';
import { NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { defineOrder, orderOf, pageCost, toConnection } from '../graphql/connection.ts';
import { IDEMPOTENCY_KEY, repeatable } from '../graphql/idempotency.ts';
import { LONG_TEXT } from '../graphql/long-texts.ts';
import { asksOfNodes } from '../graphql/look-ahead.ts';
import { nodeOptions } from '../graphql/node.ts';
import { findListOf } from './lists.ts';
import {
  createTodo,
  deleteTodo,
  deleteTodos,
  findTodo,
  listTodos,
  listTodosOfList,
  TODO_ORDERS,
  updateTodo,
  updateTodos,
} from './service.ts';

/** What a todo costs that is written with many others: with the default limit, one operation writes all that one call may. */
const BULK_COST = 25;

function bulkCost({ ids }: { readonly ids: readonly unknown[] }): number {
  return BULK_COST * ids.length;
}

/** Adds todos: the type, its reads and its writes. */
export function defineTodos(builder: Builder): void {
  const todo = builder.prismaObject('Todo', {
    fields: (t) => ({
      id: t.exposeID('id'),
      title: t.exposeString('title'),
      description: t.exposeString('description', { nullable: true, extensions: LONG_TEXT }),
      completed: t.exposeBoolean('completed'),
      createdAt: t.expose('createdAt', { type: 'DateTime' }),
      updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
      list: t.field({
        type: 'TodoList',
        nullable: true,
        description: 'The list that holds it; null when none does.',
        resolve: (todo, _args, context) => findListOf(context, todo),
      }),
      owner: t.field({
        type: 'User',
        nullable: true,
        description: 'Whose it is; null when it is everybody’s.',
        resolve: (todo, _args, context) => (todo.ownerId === null ? null : loadUser(context, todo.ownerId, todo)),
      }),
    }),
  });
  builder.nodeRef(todo, nodeOptions(findTodo));

  const connection = builder.connectionObject(
    { type: todo, name: 'TodoConnection', description: 'A page of todos.' },
    { name: 'TodoEdge', description: 'A todo at its place in a list.' },
  );
  const filter = builder.inputType('TodoFilter', {
    description: 'Narrows a list of todos; conditions add up.',
    fields: (t) => ({
      completed: t.boolean({ description: 'Only those that are done, or only those that are not.' }),
      listId: t.id({ description: 'Only those of this list.' }),
      titleContains: t.string({
        description: 'Only those with this text in their title, in any case of ASCII letters.',
      }),
      createdFrom: t.field({ type: 'DateTime', description: 'Only those made at this instant or later.' }),
      createdBefore: t.field({ type: 'DateTime', description: 'Only those made before this instant.' }),
    }),
  });
  const order = defineOrder(builder, 'Todo', TODO_ORDERS);

  builder.queryFields((t) => ({
    todo: t.field({
      type: todo,
      nullable: true,
      description: 'One todo; null when there is none that the viewer may see.',
      args: { id: t.arg.id({ required: true, description: 'Its id, as REST has it.' }) },
      resolve: (_root, { id }, context) => findTodo(context, id),
    }),
    todos: t.connection(
      {
        type: todo,
        description: 'The todos that the viewer sees.',
        complexity: pageCost,
        args: {
          filter: t.arg({ type: filter, description: 'Which of them.' }),
          orderBy: t.arg({ type: order, description: 'In which order; by id when left out.' }),
        },
        resolve: (_root, { filter, orderBy, ...page }, context, info) => {
          const read = listTodos(context, filter, orderOf(orderBy), page);
          return toConnection(asksOfNodes(info, 'owner') ? withUsers(context, read, ({ ownerId }) => ownerId) : read);
        },
      },
      connection,
    ),
  }));
  builder.prismaObjectField('TodoList', 'todos', (t) =>
    t.connection(
      {
        type: todo,
        description: 'The todos in this list.',
        complexity: pageCost,
        args: {
          filter: t.arg({ type: filter, description: 'Which of them.' }),
          orderBy: t.arg({ type: order, description: 'In which order; by id when left out.' }),
        },
        resolve: ({ id }, { filter, orderBy, ...page }, context, info) => {
          const read = listTodosOfList(context, id, filter, orderOf(orderBy), page);
          return toConnection(asksOfNodes(info, 'owner') ? withUsers(context, read, ({ ownerId }) => ownerId) : read);
        },
      },
      connection,
    ),
  );

  const newTodo = builder.inputType('CreateTodoInput', {
    description: 'A todo to be made.',
    fields: (t) => ({
      title: t.string({ required: true, description: '1 to 140 characters.' }),
      description: t.string({ description: 'At most 2000 characters.' }),
      completed: t.boolean({ description: 'Whether it is done already; false when left out.' }),
      listId: t.id({ description: 'The list to put it in; it then belongs to the owner of that list.' }),
    }),
  });
  const changes = builder.inputType('UpdateTodoInput', {
    description: 'What changes on a todo; a field that is left out stays.',
    fields: (t) => ({
      title: t.string({ description: '1 to 140 characters.' }),
      description: t.string({ description: 'At most 2000 characters; null removes it.' }),
      completed: t.boolean({ description: 'Whether it is done.' }),
      listId: t.id({ description: 'A list of the same owner to move it to; null takes it out of its list.' }),
    }),
  });
  const updated = builder.objectRef<{ todos: Awaited<ReturnType<typeof updateTodos>> }>('UpdatedTodos').implement({
    description: 'The todos that a bulk change reached.',
    fields: (t) => ({
      todos: t.field({
        type: [todo],
        description: 'As they are now, in the order of the ids that were given.',
        resolve: ({ todos }) => todos,
      }),
    }),
  });
  const deleted = builder.objectRef<{ ids: number[] }>('DeletedTodos').implement({
    description: 'The todos that are gone.',
    fields: (t) => ({
      ids: t.exposeIDList('ids', { description: 'Their ids, in the order that was given, each once.' }),
    }),
  });

  builder.mutationFields((t) => ({
    createTodo: t.field({
      type: todo,
      description: 'Makes a todo. Without credentials it belongs to nobody, and so to everybody.',
      errors: { types: [ValidationError] },
      args: {
        input: t.arg({ type: newTodo, required: true, description: 'The todo.' }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: repeatable('createTodo', (context, { input }) => createTodo(context, input)),
    }),
    updateTodo: t.field({
      type: todo,
      description: 'Changes a todo.',
      errors: { types: [ValidationError, NotFoundError] },
      args: {
        id: t.arg.id({ required: true, description: 'Which one.' }),
        input: t.arg({ type: changes, required: true, description: 'What changes.' }),
      },
      resolve: (_root, { id, input }, context) => updateTodo(context, id, input),
    }),
    deleteTodo: t.field({
      type: todo,
      description: 'Deletes a todo and gives what it was.',
      errors: { types: [NotFoundError] },
      args: { id: t.arg.id({ required: true, description: 'Which one.' }) },
      resolve: (_root, { id }, context) => deleteTodo(context, id),
    }),
    updateTodos: t.field({
      type: updated,
      description: 'Makes the same change to many todos: to all of them or, when one is missing, to none.',
      complexity: bulkCost,
      errors: { types: [ValidationError, NotFoundError] },
      args: {
        ids: t.arg.idList({ required: true, description: 'Which ones; at most 500.' }),
        input: t.arg({ type: changes, required: true, description: 'What changes on each.' }),
      },
      resolve: async (_root, { ids, input }, context) => ({ todos: await updateTodos(context, ids, input) }),
    }),
    deleteTodos: t.field({
      type: deleted,
      description: 'Deletes many todos: all of them or, when one is missing, none.',
      complexity: bulkCost,
      errors: { types: [ValidationError, NotFoundError] },
      args: { ids: t.arg.idList({ required: true, description: 'Which ones; at most 500.' }) },
      resolve: async (_root, { ids }, context) => ({ ids: await deleteTodos(context, ids) }),
    }),
  }));
}
