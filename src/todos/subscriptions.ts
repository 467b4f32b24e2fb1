import type { Builder } from '../graphql/builder.ts';
import { withDatabaseIds } from '../graphql/node-ids.ts';
import { AFTER, defineChange, subscribeToChanges } from '../graphql/subscriptions.ts';
import { watchTodos } from './watch.ts';

/** Defines the subscription to todos. */
export function defineTodoSubscriptions(builder: Builder): void {
  const todoChange = defineChange(builder, 'Todo', 'todo');
  builder.subscriptionFields((t) => ({
    todoChanged: t.field({
      type: todoChange,
      description:
        'Sends an event for each change of a todo that the viewer may see: created, changed, moved, deleted. Select with `id` or `listId` the todos that a page shows.',
      args: {
        id: t.arg.id({ description: 'Sends only the changes of the todo with this `id`, which need not exist yet.' }),
        listId: t.arg.id({
          description:
            'Sends only the changes of todos of the list with this `id`: a todo that is moved into it is CREATED, one that is moved out of it DELETED.',
        }),
        after: t.arg.string(AFTER),
      },
      subscribe: (_root, { after, ...narrowed }, context) =>
        subscribeToChanges(
          context,
          after,
          watchTodos(context, withDatabaseIds(narrowed, { id: 'Todo', listId: 'TodoList' })),
        ),
      resolve: (event) => event,
    }),
  }));
}
