import { setTimeout as pause } from 'node:timers/promises';

/** The number of rows that one statement removes: few enough that writers hardly wait. */
const BATCH = 500;
const PAUSE_MS = 25;

/** The queries of a clean-up. */
interface Cleanable<Key> {
  /** Finds the keys of expired rows, at most `take` of them. */
  readonly find: (take: number) => PromiseLike<readonly Key[]>;
  readonly remove: (keys: Key[]) => PromiseLike<unknown>;
}

/** Removes all expired rows, batch by batch, until the signal is aborted. */
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
