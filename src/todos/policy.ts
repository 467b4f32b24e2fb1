import type { RowPolicy } from '../database/condition.ts';
import { ownedRows } from '../identity/ownership.ts';
import type { Viewer } from '../viewer.ts';

/** Returns the policy of todos: those that the viewer may read and change. */
export function visibleTodos(viewer: Viewer): RowPolicy<'Todo'> {
  return ownedRows(viewer);
}
