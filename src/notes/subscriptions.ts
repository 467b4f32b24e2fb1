import type { Builder } from '../graphql/builder.ts';
import { AFTER, defineChange, follow } from '../graphql/subscriptions.ts';
import { watchNotes } from './watch.ts';

/** Adds the live side of notes. */
export function defineNoteSubscriptions(builder: Builder): void {
  const change = defineChange(builder, 'Note', 'note');
  builder.subscriptionField('noteChanged', (t) =>
    t.field({
      type: change,
      description: 'The changes of the notes that the viewer sees.',
      args: {
        id: t.arg.id({ description: 'Only of this note, which need not exist yet.' }),
        after: t.arg.string(AFTER),
      },
      subscribe: (_root, { after, ...narrowed }, context) => follow(context, after, watchNotes(context, narrowed)),
      resolve: (event) => event,
    }),
  );
}
