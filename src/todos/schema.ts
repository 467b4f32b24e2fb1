import type { Builder } from '../graphql/builder.ts';
import { defineFilter, timeRangeFields, toListFilter } from '../graphql/list-filters.ts';
import { LONG_TEXT } from '../graphql/long-texts.ts';
import { selectsNodeField } from '../graphql/look-ahead.ts';
import { nodeOptions } from '../graphql/node.ts';
import { toDatabaseId } from '../graphql/node-ids.ts';
import { connectionComplexity, defineOrder, toConnection, toOrder } from '../graphql/relay-connection.ts';
import { loadUser, withUsers } from '../identity/named-users.ts';
import { findListOf } from '../todo-lists/service.ts';
import { findTodo, listTodos, listTodosOfList, TODO_ORDERS, type TodoFilter } from './service.ts';

/** Defines the type of todos and its queries. */
export function defineTodos(builder: Builder): void {
  defineTodoType(builder);
  defineTodoQueries(builder);
}

function defineTodoType(builder: Builder): void {
  const todo = builder.prismaObject('Todo', {
    fields: (t) => ({
      databaseId: t.exposeInt('id'),
      title: t.exposeString('title'),
      description: t.exposeString('description', { nullable: true, extensions: LONG_TEXT }),
      completed: t.exposeBoolean('completed'),
      createdAt: t.expose('createdAt', { type: 'DateTime' }),
      updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
      list: t.field({
        type: 'TodoList',
        nullable: true,
        description: 'The list that contains the todo; null when it is in none.',
        resolve: (todo, _args, context) => findListOf(context, todo),
      }),
      owner: t.field({
        type: 'User',
        nullable: true,
        description:
          'The user who owns the todo, and who alone besides staff may read and change it. Null without an owner: everybody may then read and change it.',
        resolve: (todo, _args, context) => (todo.ownerId === null ? null : loadUser(context, todo.ownerId, todo)),
      }),
    }),
  });
  builder.nodeRef(todo, nodeOptions(findTodo));
}

function defineTodoQueries(builder: Builder): void {
  const connection = builder.connectionObject(
    { type: 'Todo', name: 'TodoConnection', description: 'A page of a list of todos.' },
    { name: 'TodoEdge', description: 'A todo of a page, with its cursor.' },
  );
  const filter = defineFilter<TodoFilter>(builder, 'Todo', 'todos', (t) => ({
    completed: t.boolean({ description: 'True for completed todos only, false for open todos only.' }),
    listId: t.id({ description: 'Only todos of the list with this `id`.' }),
    titleContains: t.string({
      description:
        'Only todos whose title contains this text of at most 140 characters; upper and lower case ASCII letters are equal.',
    }),
    ...timeRangeFields(t, 'created', 'todos created'),
    ...timeRangeFields(t, 'updated', 'todos last changed'),
  }));
  const order = defineOrder(builder, 'Todo', TODO_ORDERS);

  builder.queryFields((t) => ({
    todo: t.field({
      type: 'Todo',
      nullable: true,
      description: 'A todo by its `id`; null when it does not exist or the viewer may not see it.',
      args: { id: t.arg.id({ required: true, description: 'The `id` of the todo.' }) },
      resolve: (_root, { id }, context) => findTodo(context, toDatabaseId('Todo', id)),
    }),
    todos: t.connection(
      {
        type: 'Todo',
        description:
          'The todos that the viewer may see, page by page: their own and those without an owner; for staff all todos, and without a credential only those without an owner.',
        complexity: connectionComplexity,
        args: {
          filter: t.arg({ type: filter, description: 'Returns only the todos that meet these conditions.' }),
          orderBy: t.arg({ type: order, description: 'The sort order; by `id`, oldest first, when left out.' }),
        },
        resolve: (_root, { filter, orderBy, ...page }, context, info) => {
          const read = listTodos(context, {
            filter: toListFilter(filter, 'Todo', { listId: 'TodoList' }),
            order: toOrder(orderBy),
            page,
          });
          return toConnection(
            selectsNodeField(info, 'owner') ? withUsers(context, read, ({ ownerId }) => ownerId) : read,
          );
        },
      },
      connection,
    ),
  }));
  builder.prismaObjectField('TodoList', 'todos', (t) =>
    t.connection(
      {
        type: 'Todo',
        description: 'The todos of this list, page by page.',
        complexity: connectionComplexity,
        args: {
          filter: t.arg({ type: filter, description: 'Returns only the todos that meet these conditions.' }),
          orderBy: t.arg({ type: order, description: 'The sort order; by `id`, oldest first, when left out.' }),
        },
        resolve: ({ id }, { filter, orderBy, ...page }, context, info) => {
          const read = listTodosOfList(context, id, {
            filter: toListFilter(filter, 'Todo', { listId: 'TodoList' }),
            order: toOrder(orderBy),
            page,
          });
          return toConnection(
            selectsNodeField(info, 'owner') ? withUsers(context, read, ({ ownerId }) => ownerId) : read,
          );
        },
      },
      connection,
    ),
  );
}
