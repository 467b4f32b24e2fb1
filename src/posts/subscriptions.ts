import type { Builder } from '../graphql/builder.ts';
import { AFTER, defineChange, follow } from '../graphql/subscriptions.ts';
import { watchPosts } from './watch.ts';

/** Adds the live side of posts. */
export function definePostSubscriptions(builder: Builder): void {
  const change = defineChange(builder, 'Post', 'post');
  builder.subscriptionField('postChanged', (t) =>
    t.field({
      type: change,
      authScopes: { signedIn: true },
      description: 'The changes of the posts that the viewer sees.',
      args: {
        id: t.arg.id({ description: 'Only of this post, which need not exist yet.' }),
        after: t.arg.string(AFTER),
      },
      subscribe: (_root, { after, ...narrowed }, context) => follow(context, after, watchPosts(context, narrowed)),
      resolve: (event) => event,
    }),
  );
}
