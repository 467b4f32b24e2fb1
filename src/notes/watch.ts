import type { SubscriptionFilter } from '../changes/filter.ts';
import type { Context } from '../context.ts';
import { ownedScopes } from '../identity/ownership.ts';
import { watchRows } from '../identity/row-watch.ts';
import { visibleNotes } from './policy.ts';

/** Subscribes to the notes that the viewer may see, or to the one with this id. */
export function watchNotes(context: Context, { id }: { id?: string | null | undefined }): SubscriptionFilter {
  const { viewer } = context;
  return watchRows(context, {
    model: 'Note',
    scopes: ownedScopes(viewer),
    policy: visibleNotes(viewer),
    ids: { id },
  });
}
