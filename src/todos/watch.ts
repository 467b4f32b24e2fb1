import { withRoleBarrier } from '../accounts/role-barrier.ts';
import { ownedScopes } from '../accounts/scopes.ts';
import type { SubscriptionFilter } from '../changes/filter.ts';
import { rowFilter } from '../changes/row-filter.ts';
import type { Context } from '../context.ts';
import { findRows } from '../database/rows.ts';
import { wantedIds } from '../validation.ts';
import { visibleTodoLists, visibleTodos } from './policy.ts';

type Id = string | null | undefined;

/** The todos that the viewer sees; with `id` only this one, with `listId` only those of this list. */
export function watchTodos(
  { viewer, database }: Context,
  { id, listId }: { id?: Id; listId?: Id },
): SubscriptionFilter {
  return withRoleBarrier(
    rowFilter({
      viewer,
      model: 'Todo',
      scopes: ownedScopes(viewer),
      policy: visibleTodos(viewer),
      wanted: wantedIds({ id, listId }),
      find: (ids) => findRows(database, 'Todo', { where: { id: { in: ids } } }),
    }),
  );
}

/** The todo lists that the viewer sees; with `id` only this one. */
export function watchTodoLists({ viewer, database }: Context, { id }: { id?: Id }): SubscriptionFilter {
  return withRoleBarrier(
    rowFilter({
      viewer,
      model: 'TodoList',
      scopes: ownedScopes(viewer),
      policy: visibleTodoLists(viewer),
      wanted: wantedIds({ id }),
      find: (ids) => findRows(database, 'TodoList', { where: { id: { in: ids } } }),
    }),
  );
}
