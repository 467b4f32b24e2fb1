import { setTimeout as pause } from 'node:timers/promises';
import { isUniqueViolation } from '../database/failures.ts';
import type { Database } from '../database/open.ts';
import { usernameSkeleton } from './usernames.ts';

/** How many names are worked out between two pauses: few enough that requests hardly wait. */
const BATCH = 200;
const PAUSE_MS = 20;

/** Works out what the names look like of which that is not known: those of before it was, and those that an operator wrote. */
export async function fillSkeletons({ user }: Database, stopping: AbortSignal): Promise<void> {
  let last = 0;
  for (;;) {
    const rows = await user.findMany({
      where: { usernameSkeleton: null, id: { gt: last } },
      orderBy: { id: 'asc' },
      take: BATCH,
      select: { id: true, username: true },
    });
    for (const { id, username } of rows) {
      if (stopping.aborted) {
        return;
      }
      await user
        .updateMany({ where: { id, username }, data: { usernameSkeleton: usernameSkeleton(username) } })
        .catch(ignoreLookAlike);
    }
    if (rows.length < BATCH) {
      return;
    }
    last = rows.at(-1)?.id ?? last;
    await pause(PAUSE_MS, undefined, { signal: stopping, ref: false }).catch(() => undefined);
  }
}

/** Of older names that look alike, one stands for all. */
function ignoreLookAlike(error: unknown): void {
  if (!isUniqueViolation(error)) {
    throw error;
  }
}
