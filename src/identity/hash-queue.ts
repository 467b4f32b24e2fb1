import { availableParallelism } from 'node:os';
import { Semaphore } from 'async-mutex';
import { OverloadedError } from '../errors.ts';

const CORES = availableParallelism();
/** The default size of Node's thread pool (`UV_THREADPOOL_SIZE`). One thread stays free for other work, like DNS lookups. */
const THREADS = 4;
/** How many hashes are computed at once: each takes a core for about 20 ms, and one core stays free for everything else. */
const CONCURRENCY = Math.min(Math.max(1, CORES - 1), THREADS - 1);
/** How many hashes may wait: about as many as the server computes in two seconds. */
const MAX_WAITING = 100 * CONCURRENCY;
/** When a caller should try again after the queue was full, in seconds. */
const RETRY_AFTER_S = 2;

const slots = new Semaphore(CONCURRENCY);
let waiting = 0;

/** Returns how many hashes wait for a free slot. */
export function hashQueueLength(): number {
  return waiting;
}

/**
 * Computes a hash as soon as a slot is free.
 *
 * @throws {OverloadedError} when too many hashes wait
 */
export async function inHashQueue<Result>(compute: () => Promise<Result>): Promise<Result> {
  if (waiting >= MAX_WAITING) {
    throw new OverloadedError('Too many passwords are being checked. Try again in a few seconds.', RETRY_AFTER_S);
  }
  waiting += 1;
  const release = await slots.acquire().then(([, done]) => done);
  waiting -= 1;
  const startedAt = performance.now();
  try {
    return await compute();
  } finally {
    if (CORES > 1) {
      release();
    } else {
      // On a single core, hashes take at most half of the time: the next one waits for as long as this one took.
      setTimeout(release, performance.now() - startedAt);
    }
  }
}
