import { setTimeout as pause } from 'node:timers/promises';

/** How many rows one statement removes: few enough that writers hardly wait. */
const BATCH = 500;
const PAUSE_MS = 25;

/** The two calls of a model's client that a clean-up needs. */
interface Cleanable<Key> {
  /** Finds the keys of at most so many rows that are due. */
  readonly find: (take: number) => PromiseLike<readonly Key[]>;
  readonly remove: (keys: Key[]) => PromiseLike<unknown>;
}

/** Removes all rows that are due, batch by batch, until the signal is aborted. */
export async function removeInBatches<Key>(
  { find, remove }: Cleanable<Key>,
  stopping: AbortSignal = new AbortController().signal,
): Promise<void> {
  while (!stopping.aborted) {
    const keys = await find(BATCH);
    if (keys.length > 0) {
      await remove([...keys]);
    }
    if (keys.length < BATCH) {
      return;
    }
    await pause(PAUSE_MS, undefined, { ref: false });
  }
}
