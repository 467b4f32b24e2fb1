import { setTimeout as pause } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import { type Database, isReady } from './open.ts';

/** How long a database may be away before whoever waits for it gives up, in milliseconds. */
const PATIENCE_MS = 60_000;
const LOOK_INTERVAL_MS = 100;
/** A failure that a database gives which answers is hardly an outage; it gets the benefit of the doubt a few times. */
const MAX_ATTEMPTS = 4;

/**
 * Does work that only reads and whose failure would cost a subscriber an event. When it fails, it is done again as soon as the database answers,
 * up to a minute later; expected failures are passed on at once.
 */
export async function acrossOutages<Result>(
  database: Database,
  read: () => PromiseLike<Result> | Result,
): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await read();
    } catch (error) {
      if (error instanceof AppError || attempt === MAX_ATTEMPTS || !(await answersAgain(database))) {
        throw error;
      }
    }
  }
}

async function answersAgain(database: Database): Promise<boolean> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    if (await isReady(database)) {
      return true;
    }
    await pause(LOOK_INTERVAL_MS, undefined, { ref: false });
  }
  return false;
}
