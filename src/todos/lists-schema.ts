import { loadUser, withUsers } from '../accounts/service.ts';
import { NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { defineOrder, orderOf, pageCost, toConnection } from '../graphql/connection.ts';
import { IDEMPOTENCY_KEY, repeatable } from '../graphql/idempotency.ts';
import { asksOfNodes } from '../graphql/look-ahead.ts';
import { nodeOptions } from '../graphql/node.ts';
import {
  createTodoList,
  deleteTodoList,
  findTodoList,
  listTodoLists,
  TODO_LIST_ORDERS,
  updateTodoList,
} from './lists.ts';

/** Adds todo lists: the type, its reads and its writes. */
export function defineTodoLists(builder: Builder): void {
  const todoList = builder.prismaObject('TodoList', {
    fields: (t) => ({
      id: t.exposeID('id'),
      name: t.exposeString('name'),
      createdAt: t.expose('createdAt', { type: 'DateTime' }),
      updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
      owner: t.field({
        type: 'User',
        nullable: true,
        description: 'Whose it is; null when it is everybody’s.',
        resolve: (list, _args, context) => (list.ownerId === null ? null : loadUser(context, list.ownerId, list)),
      }),
    }),
  });
  builder.nodeRef(todoList, nodeOptions(findTodoList));

  const filter = builder.inputType('TodoListFilter', {
    description: 'Narrows a list of todo lists; conditions add up.',
    fields: (t) => ({
      nameContains: t.string({
        description: 'Only those with this text in their name, in any case of ASCII letters.',
      }),
    }),
  });
  const order = defineOrder(builder, 'TodoList', TODO_LIST_ORDERS);

  builder.queryFields((t) => ({
    todoList: t.field({
      type: todoList,
      nullable: true,
      description: 'One todo list; null when there is none that the viewer may see.',
      args: { id: t.arg.id({ required: true, description: 'Its id, as REST has it.' }) },
      resolve: (_root, { id }, context) => findTodoList(context, id),
    }),
    todoLists: t.connection(
      {
        type: todoList,
        description: 'The todo lists that the viewer sees.',
        complexity: pageCost,
        args: {
          filter: t.arg({ type: filter, description: 'Which of them.' }),
          orderBy: t.arg({ type: order, description: 'In which order; by id when left out.' }),
        },
        resolve: (_root, { filter, orderBy, ...page }, context, info) => {
          const read = listTodoLists(context, filter, orderOf(orderBy), page);
          return toConnection(asksOfNodes(info, 'owner') ? withUsers(context, read, ({ ownerId }) => ownerId) : read);
        },
      },
      { name: 'TodoListConnection', description: 'A page of todo lists.' },
      { name: 'TodoListEdge', description: 'A todo list at its place in a list.' },
    ),
  }));

  const newTodoList = builder.inputType('CreateTodoListInput', {
    description: 'A todo list to be made.',
    fields: (t) => ({ name: t.string({ required: true, description: '1 to 64 characters.' }) }),
  });
  const changes = builder.inputType('UpdateTodoListInput', {
    description: 'What changes on a todo list; a field that is left out stays.',
    fields: (t) => ({ name: t.string({ description: '1 to 64 characters.' }) }),
  });

  builder.mutationFields((t) => ({
    createTodoList: t.field({
      type: todoList,
      description: 'Makes a todo list. Without credentials it belongs to nobody, and so to everybody.',
      errors: { types: [ValidationError] },
      args: {
        input: t.arg({ type: newTodoList, required: true, description: 'The list.' }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: repeatable('createTodoList', (context, { input }) => createTodoList(context, input)),
    }),
    updateTodoList: t.field({
      type: todoList,
      description: 'Changes a todo list.',
      errors: { types: [ValidationError, NotFoundError] },
      args: {
        id: t.arg.id({ required: true, description: 'Which one.' }),
        input: t.arg({ type: changes, required: true, description: 'What changes.' }),
      },
      resolve: (_root, { id, input }, context) => updateTodoList(context, id, input),
    }),
    deleteTodoList: t.field({
      type: todoList,
      description: 'Deletes a todo list together with its todos, and gives what it was.',
      errors: { types: [NotFoundError] },
      args: { id: t.arg.id({ required: true, description: 'Which one.' }) },
      resolve: (_root, { id }, context) => deleteTodoList(context, id),
    }),
  }));
}
