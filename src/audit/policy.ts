import type { RowPolicy } from '../database/condition.ts';
import type { Viewer } from '../viewer.ts';

/** Returns the policy of audit entries: staff may read all of them. */
export function visibleAuditEntries(viewer: Viewer): RowPolicy<'AuditEntry'> {
  return viewer.kind === 'user' && viewer.isStaff ? {} : { id: { in: [] } };
}
