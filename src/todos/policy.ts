import { ownedRows } from '../accounts/policy.ts';
import type { Prisma } from '../generated/client/client.ts';
import type { Viewer } from '../viewer.ts';

/** The todos that the viewer sees, and may change. */
export function visibleTodos(viewer: Viewer): Prisma.TodoWhereInput {
  return ownedRows(viewer);
}

/** The todo lists that the viewer sees, and may change. */
export function visibleTodoLists(viewer: Viewer): Prisma.TodoListWhereInput {
  return ownedRows(viewer);
}
