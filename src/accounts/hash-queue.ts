import { availableParallelism } from 'node:os';
import { Semaphore } from 'async-mutex';
import { OverloadedError } from '../errors.ts';

const CORES = availableParallelism();
/** The default size of Node's thread pool (`UV_THREADPOOL_SIZE`). One thread is left to other work, like the lookup of a host's address. */
const THREADS = 4;
/** How many hashes are computed at once: each takes a core for some 20 ms, and one core is left to everything else. */
const WIDTH = Math.min(Math.max(1, CORES - 1), THREADS - 1);
/** How many may wait for each that is computed: about as many as one core computes in two seconds. */
const MAX_WAITING = 100 * WIDTH;
/** When a caller who found the queue full should try again, in seconds. */
const RETRY_AFTER_S = 2;

const free = new Semaphore(WIDTH);
let waiting = 0;

/**
 * Computes a hash when it is its turn.
 *
 * @throws {OverloadedError} when too many wait already
 */
export async function inHashQueue<Result>(compute: () => Promise<Result>): Promise<Result> {
  if (waiting >= MAX_WAITING) {
    throw new OverloadedError('Too many passwords are being checked. Try again in a few seconds.', RETRY_AFTER_S);
  }
  waiting += 1;
  const release = await free.acquire().then(([, done]) => done);
  waiting -= 1;
  const startedAt = performance.now();
  try {
    return await compute();
  } finally {
    if (CORES > 1) {
      release();
    } else {
      // On its only core a hash takes half of it from all other requests: the next one waits for as long as this one took.
      setTimeout(release, performance.now() - startedAt);
    }
  }
}
