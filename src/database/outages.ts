import { setTimeout as pause } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import type { Database } from './client.ts';
import { isReady } from './open.ts';

/** How long callers wait for a database that does not answer, in milliseconds. */
const OUTAGE_TIMEOUT_MS = 60_000;
const PROBE_INTERVAL_MS = 100;
/** The number of attempts: a database that answers but fails this often has no outage. */
const MAX_ATTEMPTS = 4;

/**
 * Runs work that only reads, and whose failure would cost a subscriber an event. When it fails, it is repeated as soon as the database answers, up to a minute
 * later. An {@link AppError} is thrown at once.
 */
export async function retryDuringOutage<Result>(
  database: Database,
  read: () => PromiseLike<Result> | Result,
): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await read();
    } catch (error) {
      if (error instanceof AppError || attempt === MAX_ATTEMPTS || !(await waitUntilReady(database))) {
        throw error;
      }
    }
  }
}

async function waitUntilReady(database: Database): Promise<boolean> {
  const deadline = performance.now() + OUTAGE_TIMEOUT_MS;
  while (performance.now() < deadline) {
    if (await isReady(database)) {
      return true;
    }
    await pause(PROBE_INTERVAL_MS, undefined, { ref: false });
  }
  return false;
}
