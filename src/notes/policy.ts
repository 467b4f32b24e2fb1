import { ownedRows } from '../accounts/policy.ts';
import type { Prisma } from '../generated/client/client.ts';
import type { Viewer } from '../viewer.ts';

/** The notes that the viewer sees, and may change. */
export function visibleNotes(viewer: Viewer): Prisma.NoteWhereInput {
  return ownedRows(viewer);
}
