import { repeat } from '../database/housekeeping.ts';
import type { Database } from '../database/open.ts';

export interface Retention {
  /** How long a change is kept, in seconds. */
  readonly ageS: number;
  /** How many changes are kept at the most. */
  readonly rows: number;
}

const SWEEP_INTERVAL_MS = 30_000;
/** How many changes one transaction removes: few enough that writers hardly wait. */
const BATCH = 500;
const PAUSE_MS = 25;

/** Removes the oldest changes beyond the bounds now and then, in small transactions; gives what stops it. */
export function retainChanges(
  database: Database,
  retention: Retention,
  onFailure: (error: unknown) => void,
): () => Promise<void> {
  return repeat({
    intervalMs: SWEEP_INTERVAL_MS,
    work: (stopping) => sweep(database, retention, () => stopping.aborted),
    onFailure,
  });
}

/** Removes all that is beyond the bounds, batch by batch. The newest change always stays: it vouches for cursors at the end of the log. */
export async function sweep(
  database: Database,
  retention: Retention,
  isStopped: () => boolean = () => false,
): Promise<void> {
  while (!isStopped() && (await removeBatch(database, retention))) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

async function removeBatch(database: Database, { ageS, rows }: Retention): Promise<boolean> {
  const newest = await database.change.findFirst({ orderBy: { seq: 'desc' }, select: { seq: true } });
  if (!newest) {
    return false;
  }
  const tooOld = new Date(Date.now() - ageS * 1000);
  const oldest = await database.change.findMany({
    where: { seq: { lt: newest.seq } },
    orderBy: { seq: 'asc' },
    take: BATCH,
    select: { seq: true, at: true },
  });
  const excess = oldest.filter(({ seq, at }) => at < tooOld || seq <= newest.seq - BigInt(rows)).at(-1);
  if (!excess) {
    return false;
  }
  await database.change.deleteMany({ where: { seq: { lte: excess.seq } } });
  return true;
}
