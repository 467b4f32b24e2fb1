import { setTimeout as pause } from 'node:timers/promises';
import { repeat } from '../database/housekeeping.ts';
import { workIfLeaseIsFree } from '../database/lease.ts';
import type { Database } from '../database/open.ts';
import { LOG_BEGINNING } from './change.ts';
import { LogSize } from './log-size.ts';

export interface Retention {
  /** How long a change is kept, in seconds. */
  readonly ageS: number;
  /** How many bytes the log may have. */
  readonly bytes: number;
}

/** How often the log is looked at, in milliseconds: often where it may soon have too many bytes. */
const INTERVAL_MS = 30_000;
const NEAR_INTERVAL_MS = 2_000;
/** The part of the allowed bytes from which on it is looked at often. */
const NEAR = 0.5;
/** How many changes one transaction removes: few enough that writers hardly wait, and enough to keep up with the fastest writer. */
const BATCH = 1_000;
const PAUSE_MS = 5;
const LEASE = 'changes:retention';

/** Removes the oldest changes beyond the bounds in small transactions, in one process at a time; returns the function that stops it. */
export function retainChanges(
  database: Database,
  retention: Retention,
  onFailure: (error: unknown) => void,
): () => Promise<void> {
  const size = new LogSize(database);
  let nextLookAt = 0;
  return repeat({
    intervalMs: NEAR_INTERVAL_MS,
    work: async (stopping) => {
      if (performance.now() < nextLookAt) {
        return;
      }
      const state = await look(database, retention, size);
      nextLookAt = state === 'within' ? performance.now() + INTERVAL_MS : 0;
      if (state === 'over') {
        await workIfLeaseIsFree({ database, name: LEASE, onFailure }, stopping, ({ signal }) =>
          sweepWhileOver(database, retention, signal, size),
        );
      }
    },
    onFailure,
  });
}

/** The process that has measured the log goes on, so that no other one has to measure it. */
async function sweepWhileOver(
  database: Database,
  retention: Retention,
  stopping: AbortSignal,
  size: LogSize,
): Promise<void> {
  while (!stopping.aborted && (await look(database, retention, size)) === 'over') {
    await sweep(database, retention, stopping, size);
    await pause(NEAR_INTERVAL_MS, undefined, { signal: stopping, ref: false }).catch(() => undefined);
  }
}

/** Removes all changes beyond the bounds. The newest one always stays: cursors at the end of the log are compared with it. */
export async function sweep(
  database: Database,
  { ageS, bytes }: Retention,
  stopping: AbortSignal = new AbortController().signal,
  size = new LogSize(database),
): Promise<void> {
  const tooOld = new Date(Date.now() - ageS * 1000);
  const newest = await database.change.findFirst({ orderBy: { seq: 'desc' }, select: { seq: true } });
  if (!newest) {
    return;
  }
  const excess = await size.findExcess(bytes, stopping);
  for (;;) {
    const oldest = await database.change.findMany({
      where: { seq: { lt: newest.seq } },
      orderBy: { seq: 'asc' },
      take: BATCH,
      select: { seq: true, at: true, model: true },
    });
    const last = oldest
      .filter(({ seq, at, model }) => (at < tooOld && model !== LOG_BEGINNING) || seq <= excess)
      .at(-1);
    if (!last || stopping.aborted) {
      return;
    }
    await database.change.deleteMany({ where: { seq: { lte: last.seq } } });
    await pause(PAUSE_MS, undefined, { ref: false });
  }
}

/** Where the log is with respect to its bounds, as far as can be known without measuring it: within them, near them, or maybe over them. */
async function look(
  database: Database,
  { ageS, bytes }: Retention,
  size: LogSize,
): Promise<'within' | 'near' | 'over'> {
  const oldest = await database.change.findFirst({
    where: { model: { not: LOG_BEGINNING } },
    orderBy: { seq: 'asc' },
    select: { at: true },
  });
  const upperBound = await size.upperBound();
  if (oldest && (oldest.at.getTime() < Date.now() - ageS * 1000 || upperBound > bytes)) {
    return 'over';
  }
  return upperBound > NEAR * bytes ? 'near' : 'within';
}
