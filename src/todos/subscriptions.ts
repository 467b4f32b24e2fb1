import type { Builder } from '../graphql/builder.ts';
import { AFTER, defineChange, follow } from '../graphql/subscriptions.ts';
import { watchTodoLists, watchTodos } from './watch.ts';

/** Adds the live side of todos and todo lists. */
export function defineTodoSubscriptions(builder: Builder): void {
  const todoChange = defineChange(builder, 'Todo', 'todo');
  const todoListChange = defineChange(builder, 'TodoList', 'todoList');
  builder.subscriptionFields((t) => ({
    todoChanged: t.field({
      type: todoChange,
      description: 'The changes of the todos that the viewer sees.',
      args: {
        id: t.arg.id({ description: 'Only of this todo, which need not exist yet.' }),
        listId: t.arg.id({
          description: 'Only of the todos in this list: one that moves in is CREATED, one that moves out DELETED.',
        }),
        after: t.arg.string(AFTER),
      },
      subscribe: (_root, { after, ...narrowed }, context) => follow(context, after, watchTodos(context, narrowed)),
      resolve: (event) => event,
    }),
    todoListChanged: t.field({
      type: todoListChange,
      description: 'The changes of the todo lists that the viewer sees.',
      args: {
        id: t.arg.id({ description: 'Only of this list, which need not exist yet.' }),
        after: t.arg.string(AFTER),
      },
      subscribe: (_root, { after, ...narrowed }, context) => follow(context, after, watchTodoLists(context, narrowed)),
      resolve: (event) => event,
    }),
  }));
}
