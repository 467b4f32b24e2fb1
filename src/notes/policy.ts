import { ownedRows } from '../accounts/policy.ts';
import type { RowPolicy } from '../database/condition.ts';
import type { Viewer } from '../viewer.ts';

/** The notes that the viewer sees, and may change. */
export function visibleNotes(viewer: Viewer): RowPolicy<'Note'> {
  return ownedRows(viewer);
}
