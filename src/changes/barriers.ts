import { AppError } from '../errors.ts';
import type { Change } from './change.ts';
import type { LogPosition } from './cursor.ts';
import type { SubscriptionFilter } from './filter.ts';
import type { ChangeLog, ReadLimits } from './log.ts';

/** The part of the log to look for barriers in: the changes after `from` up to `head`. */
export interface BarrierRange {
  readonly from: LogPosition;
  readonly head: LogPosition;
  readonly limits: ReadLimits;
}

/**
 * Checks that a subscription can be resumed at the start of a range.
 *
 * @throws {AppError} `RESYNC_REQUIRED` when a later change alters the set of visible rows without row events
 */
export async function requireNoBarrier(log: ChangeLog, filter: SubscriptionFilter, range: BarrierRange): Promise<void> {
  if ((await findBarriers(log, filter, range)).length > 0) {
    throw new AppError('RESYNC_REQUIRED');
  }
}

/**
 * Checks that the viewer of a filter was read after the last change of the viewer's role. Access changes are applied before the log is read up to them, so
 * the viewer may be up to date although that change lies after the start of the range.
 *
 * @throws {AppError} `RESYNC_REQUIRED` otherwise
 */
export async function requireCurrentViewer(
  log: ChangeLog,
  filter: SubscriptionFilter,
  range: BarrierRange,
): Promise<void> {
  const last = (await findBarriers(log, filter, range)).at(-1);
  if (last && (!last.isReadable || filter.isViewerOlderThan?.(last))) {
    throw new AppError('RESYNC_REQUIRED');
  }
}

/** Finds the changes of a range that are barriers, and those that cannot be read and so may be. */
async function findBarriers(
  log: ChangeLog,
  { barrier, isBarrier }: SubscriptionFilter,
  { from, head, limits }: BarrierRange,
): Promise<readonly Change[]> {
  if (!barrier || !isBarrier || from.seq >= head.seq) {
    return [];
  }
  const { changes } = await log.replay({ scoped: [barrier] }, { from, until: head }, limits);
  return changes.filter((change) => !change.isReadable || isBarrier(change));
}
