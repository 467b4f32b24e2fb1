import type { RowPolicy } from '../database/condition.ts';
import { ownedRows } from '../identity/ownership.ts';
import type { Viewer } from '../viewer.ts';

/** Returns the policy of todo lists: those that the viewer may read and change. */
export function visibleTodoLists(viewer: Viewer): RowPolicy<'TodoList'> {
  return ownedRows(viewer);
}
