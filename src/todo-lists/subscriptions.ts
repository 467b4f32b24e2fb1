import type { Builder } from '../graphql/builder.ts';
import { withDatabaseIds } from '../graphql/node-ids.ts';
import { AFTER, defineChange, subscribeToChanges } from '../graphql/subscriptions.ts';
import { watchTodoLists } from './watch.ts';

/** Defines the subscription to todo lists. */
export function defineTodoListSubscriptions(builder: Builder): void {
  const todoListChange = defineChange(builder, 'TodoList', 'todoList');
  builder.subscriptionFields((t) => ({
    todoListChanged: t.field({
      type: todoListChange,
      description:
        'Sends an event for each change of a todo list that the viewer may see. Changes of its todos are events of `todoChanged`.',
      args: {
        id: t.arg.id({ description: 'Sends only the changes of the list with this `id`, which need not exist yet.' }),
        after: t.arg.string(AFTER),
      },
      subscribe: (_root, { after, ...narrowed }, context) =>
        subscribeToChanges(context, after, watchTodoLists(context, withDatabaseIds(narrowed, { id: 'TodoList' }))),
      resolve: (event) => event,
    }),
  }));
}
