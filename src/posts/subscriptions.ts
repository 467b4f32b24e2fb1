import type { Builder } from '../graphql/builder.ts';
import { withDatabaseIds } from '../graphql/node-ids.ts';
import { AFTER, defineChange, subscribeToChanges } from '../graphql/subscriptions.ts';
import { watchPosts } from './watch.ts';

/** Defines the subscription to posts. */
export function definePostSubscriptions(builder: Builder): void {
  const change = defineChange(builder, 'Post', 'post');
  builder.subscriptionField('postChanged', (t) =>
    t.field({
      type: change,
      authScopes: { signedIn: true },
      description:
        'Sends an event for each change of a post: created, changed, deleted. `UNAUTHENTICATED` without a credential.',
      args: {
        id: t.arg.id({ description: 'Sends only the changes of the post with this `id`, which need not exist yet.' }),
        after: t.arg.string(AFTER),
      },
      subscribe: (_root, { after, ...narrowed }, context) =>
        subscribeToChanges(context, after, watchPosts(context, withDatabaseIds(narrowed, { id: 'Post' }))),
      resolve: (event) => event,
    }),
  );
}
