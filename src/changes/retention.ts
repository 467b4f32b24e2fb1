import { setTimeout as pause } from 'node:timers/promises';
import type { Database } from '../database/client.ts';
import { runPeriodically } from '../database/housekeeping.ts';
import { tryRunUnderLease } from '../database/lease.ts';
import { SENTINEL_MODEL } from './change.ts';
import { LogSize } from './log-size.ts';

export interface Retention {
  /** The age up to which changes are kept, in seconds. */
  readonly ageS: number;
  /** The size up to which changes are kept, in bytes. */
  readonly bytes: number;
}

/** The intervals of the checks, in milliseconds: the shorter one applies while the log is near its maximum size. */
const INTERVAL_MS = 30_000;
const NEAR_INTERVAL_MS = 2_000;
/** The fraction of the maximum size from which on the shorter interval applies. */
const NEAR_RATIO = 0.5;
/** The number of changes that one transaction removes: few enough that writers hardly wait, and enough to keep up with the fastest writer. */
const BATCH = 1_000;
const PAUSE_MS = 5;
const LEASE = 'changes:retention';

/** Starts to remove the oldest changes beyond the bounds periodically, in small transactions and in one process at a time; returns the function that stops it. */
export function startRetention(
  database: Database,
  retention: Retention,
  onFailure: (error: unknown) => void,
): () => Promise<void> {
  const size = new LogSize(database);
  let nextCheckAt = 0;
  return runPeriodically({
    intervalMs: NEAR_INTERVAL_MS,
    work: async (stopping) => {
      if (performance.now() < nextCheckAt) {
        return;
      }
      const state = await checkBounds(database, retention, size);
      nextCheckAt = state === 'within' ? performance.now() + INTERVAL_MS : 0;
      if (state === 'over') {
        await tryRunUnderLease({ database, name: LEASE, onFailure }, stopping, ({ signal }) =>
          sweepUntilWithin(database, retention, signal, size),
        );
      }
    },
    onFailure,
  });
}

/** Sweeps repeatedly under one lease: the process has measured the log, and another one would have to measure it again. */
async function sweepUntilWithin(
  database: Database,
  retention: Retention,
  stopping: AbortSignal,
  size: LogSize,
): Promise<void> {
  while (!stopping.aborted && (await checkBounds(database, retention, size)) === 'over') {
    await sweep(database, retention, stopping, size);
    await pause(NEAR_INTERVAL_MS, undefined, { signal: stopping, ref: false }).catch(() => undefined);
  }
}

/** Removes all changes beyond the bounds, except the newest one, with which cursors at the end of the log are compared. */
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
      .filter(({ seq, at, model }) => (at < tooOld && model !== SENTINEL_MODEL) || seq <= excess)
      .at(-1);
    if (!last || stopping.aborted) {
      return;
    }
    await database.change.deleteMany({ where: { seq: { lte: last.seq } } });
    await pause(PAUSE_MS, undefined, { ref: false });
  }
}

/** Returns whether the log is within its bounds, near them, or possibly over them, by an estimate that does not measure the log. */
async function checkBounds(
  database: Database,
  { ageS, bytes }: Retention,
  size: LogSize,
): Promise<'within' | 'near' | 'over'> {
  const oldest = await database.change.findFirst({
    where: { model: { not: SENTINEL_MODEL } },
    orderBy: { seq: 'asc' },
    select: { at: true },
  });
  const upperBound = await size.upperBound();
  if (oldest && (oldest.at.getTime() < Date.now() - ageS * 1000 || upperBound > bytes)) {
    return 'over';
  }
  return upperBound > NEAR_RATIO * bytes ? 'near' : 'within';
}
