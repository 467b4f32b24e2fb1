import { setTimeout as pause } from 'node:timers/promises';
import type { Database } from '../database/client.ts';
import { isUniqueViolation } from '../database/failures.ts';
import { usernameSkeleton } from '../identity/usernames.ts';

/** How many names are computed between two pauses: few enough that requests hardly wait. */
const BATCH = 200;
const PAUSE_MS = 20;

/** Computes the missing skeletons of usernames: of users from versions without skeletons, and of users whom an operator inserted by SQL. */
export async function fillUsernameSkeletons({ user }: Database, stopping: AbortSignal): Promise<void> {
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

/** Of several older names with equal skeletons, only one stores it, since skeletons are unique. */
function ignoreLookAlike(error: unknown): void {
  if (!isUniqueViolation(error)) {
    throw error;
  }
}
