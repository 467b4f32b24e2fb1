import type { Builder } from '../graphql/builder.ts';
import { withDatabaseIds } from '../graphql/node-ids.ts';
import { AFTER, defineChange, subscribeToChanges } from '../graphql/subscriptions.ts';
import { watchNotes } from './watch.ts';

/** Defines the subscription to notes. */
export function defineNoteSubscriptions(builder: Builder): void {
  const change = defineChange(builder, 'Note', 'note');
  builder.subscriptionField('noteChanged', (t) =>
    t.field({
      type: change,
      description: 'Sends an event for each change of a note that the viewer may see: created, changed, deleted.',
      args: {
        id: t.arg.id({ description: 'Sends only the changes of the note with this `id`, which need not exist yet.' }),
        after: t.arg.string(AFTER),
      },
      subscribe: (_root, { after, ...narrowed }, context) =>
        subscribeToChanges(context, after, watchNotes(context, withDatabaseIds(narrowed, { id: 'Note' }))),
      resolve: (event) => event,
    }),
  );
}
