import type { SubscriptionFilter } from '../changes/filter.ts';
import type { Context } from '../context.ts';
import { ownedScopes } from '../identity/ownership.ts';
import { watchRows } from '../identity/row-watch.ts';
import { visibleTodos } from './policy.ts';

type Id = string | null | undefined;

/** Subscribes to the todos that the viewer may see, or to the one with this id, or to those of one list. */
export function watchTodos(context: Context, { id, listId }: { id?: Id; listId?: Id }): SubscriptionFilter {
  const { viewer } = context;
  return watchRows(context, {
    model: 'Todo',
    scopes: ownedScopes(viewer),
    policy: visibleTodos(viewer),
    ids: { id, listId },
  });
}
