import { ownedRows } from '../accounts/policy.ts';
import type { RowPolicy } from '../database/condition.ts';
import type { Viewer } from '../viewer.ts';

/** The todos that the viewer sees, and may change. */
export function visibleTodos(viewer: Viewer): RowPolicy<'Todo'> {
  return ownedRows(viewer);
}

/** The todo lists that the viewer sees, and may change. */
export function visibleTodoLists(viewer: Viewer): RowPolicy<'TodoList'> {
  return ownedRows(viewer);
}
