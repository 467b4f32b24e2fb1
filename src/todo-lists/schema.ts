import { NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { IDEMPOTENCY_KEY, idempotent } from '../graphql/idempotent-mutation.ts';
import { defineFilter, timeRangeFields, toListFilter } from '../graphql/list-filters.ts';
import { selectsNodeField } from '../graphql/look-ahead.ts';
import { nodeOptions } from '../graphql/node.ts';
import { toDatabaseId } from '../graphql/node-ids.ts';
import { connectionComplexity, defineOrder, toConnection, toOrder } from '../graphql/relay-connection.ts';
import { loadUser, withUsers } from '../identity/named-users.ts';
import {
  createTodoList,
  deleteTodoList,
  findTodoList,
  listTodoLists,
  TODO_LIST_ORDERS,
  type TodoListFilter,
  updateTodoList,
} from './service.ts';

/** Defines the type of todo lists, its queries and its mutations. */
export function defineTodoLists(builder: Builder): void {
  defineTodoListType(builder);
  defineTodoListQueries(builder);
  defineTodoListMutations(builder);
}

function defineTodoListType(builder: Builder): void {
  const todoList = builder.prismaObject('TodoList', {
    fields: (t) => ({
      databaseId: t.exposeInt('id'),
      name: t.exposeString('name'),
      createdAt: t.expose('createdAt', { type: 'DateTime' }),
      updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
      owner: t.field({
        type: 'User',
        nullable: true,
        description:
          'The user who owns the list, and who alone besides staff may read and change it. Null without an owner: everybody may then read and change it.',
        resolve: (list, _args, context) => (list.ownerId === null ? null : loadUser(context, list.ownerId, list)),
      }),
    }),
  });
  builder.nodeRef(todoList, nodeOptions(findTodoList));
}

function defineTodoListQueries(builder: Builder): void {
  const filter = defineFilter<TodoListFilter>(builder, 'TodoList', 'todo lists', (t) => ({
    nameContains: t.string({
      description:
        'Only lists whose name contains this text of at most 64 characters; upper and lower case ASCII letters are equal.',
    }),
    ...timeRangeFields(t, 'created', 'todo lists created'),
    ...timeRangeFields(t, 'updated', 'todo lists last changed'),
  }));
  const order = defineOrder(builder, 'TodoList', TODO_LIST_ORDERS);

  builder.queryFields((t) => ({
    todoList: t.field({
      type: 'TodoList',
      nullable: true,
      description: 'A todo list by its `id`; null when it does not exist or the viewer may not see it.',
      args: { id: t.arg.id({ required: true, description: 'The `id` of the list.' }) },
      resolve: (_root, { id }, context) => findTodoList(context, toDatabaseId('TodoList', id)),
    }),
    todoLists: t.connection(
      {
        type: 'TodoList',
        description:
          'The todo lists that the viewer may see, page by page: their own and those without an owner; for staff all lists, and without a credential only those without an owner.',
        complexity: connectionComplexity,
        args: {
          filter: t.arg({ type: filter, description: 'Returns only the lists that meet these conditions.' }),
          orderBy: t.arg({ type: order, description: 'The sort order; by `id`, oldest first, when left out.' }),
        },
        resolve: (_root, { filter, orderBy, ...page }, context, info) => {
          const read = listTodoLists(context, {
            filter: toListFilter(filter, 'TodoList'),
            order: toOrder(orderBy),
            page,
          });
          return toConnection(
            selectsNodeField(info, 'owner') ? withUsers(context, read, ({ ownerId }) => ownerId) : read,
          );
        },
      },
      { name: 'TodoListConnection', description: 'A page of a list of todo lists.' },
      { name: 'TodoListEdge', description: 'A todo list of a page, with its cursor.' },
    ),
  }));
}

function defineTodoListMutations(builder: Builder): void {
  const newTodoList = builder.inputType('CreateTodoListInput', {
    description: 'The fields of a new todo list.',
    fields: (t) => ({
      name: t.string({
        required: true,
        description: 'The name, 1 to 64 characters; white space around it is removed.',
      }),
    }),
  });
  const changes = builder.inputType('UpdateTodoListInput', {
    description: 'The fields of a todo list to change. A field that is left out keeps its value; null is rejected.',
    fields: (t) => ({
      name: t.string({ description: 'The name, 1 to 64 characters; white space around it is removed.' }),
    }),
  });

  builder.mutationFields((t) => ({
    createTodoList: t.field({
      type: 'TodoList',
      description:
        'Creates a todo list that the viewer owns. Without a credential it has no owner, so that everybody may read and change it; `UNAUTHENTICATED` where the server does not allow that, `RATE_LIMITED` after too many such writes from one IP address.',
      errors: { types: [ValidationError] },
      args: {
        input: t.arg({ type: newTodoList, required: true, description: 'The fields of the new list.' }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: idempotent('createTodoList', (context, { input }) => createTodoList(context, input)),
    }),
    updateTodoList: t.field({
      type: 'TodoList',
      description: 'Changes a todo list that the viewer may see.',
      errors: { types: [ValidationError, NotFoundError] },
      args: {
        id: t.arg.id({ required: true, description: 'The `id` of the list.' }),
        input: t.arg({ type: changes, required: true, description: 'The fields to change.' }),
      },
      resolve: (_root, { id, input }, context) => updateTodoList(context, toDatabaseId('TodoList', id), input),
    }),
    deleteTodoList: t.field({
      type: 'TodoList',
      description:
        'Deletes a todo list together with its todos, and returns the list as it was. Subscribers of `todoChanged` receive each todo as DELETED.',
      errors: { types: [NotFoundError] },
      args: { id: t.arg.id({ required: true, description: 'The `id` of the list.' }) },
      resolve: (_root, { id }, context) => deleteTodoList(context, toDatabaseId('TodoList', id)),
    }),
  }));
}
