import type { RowPolicy } from '../database/condition.ts';
import { ownedRows } from '../identity/ownership.ts';
import type { Viewer } from '../viewer.ts';

/** Returns the policy of notes: those that the viewer may read and change. */
export function visibleNotes(viewer: Viewer): RowPolicy<'Note'> {
  return ownedRows(viewer);
}
