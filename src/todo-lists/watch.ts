import type { SubscriptionFilter } from '../changes/filter.ts';
import type { Context } from '../context.ts';
import { ownedScopes } from '../identity/ownership.ts';
import { watchRows } from '../identity/row-watch.ts';
import { visibleTodoLists } from './policy.ts';

/** Subscribes to the todo lists that the viewer may see, or to the one with this id. */
export function watchTodoLists(context: Context, { id }: { id?: string | null | undefined }): SubscriptionFilter {
  const { viewer } = context;
  return watchRows(context, {
    model: 'TodoList',
    scopes: ownedScopes(viewer),
    policy: visibleTodoLists(viewer),
    ids: { id },
  });
}
