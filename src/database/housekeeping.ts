import { setTimeout as pause } from 'node:timers/promises';

/** Work in the background that is done again and again. */
export interface Chore {
  /** How long it rests between two times, in milliseconds. */
  readonly intervalMs: number;
  /** Does the work; stops soon after the signal. */
  readonly work: (stopping: AbortSignal) => Promise<void>;
  /** Takes note of a failure; the next time follows as ever. */
  readonly onFailure: (error: unknown) => void;
}

/** Does a chore again and again, first after one interval; gives what stops it. */
export function repeat({ intervalMs, work, onFailure }: Chore): () => Promise<void> {
  const stopping = new AbortController();
  const { signal } = stopping;
  const running = (async () => {
    for (;;) {
      await pause(intervalMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) {
        return;
      }
      await work(signal).catch(onFailure);
    }
  })();
  return () => {
    stopping.abort();
    return running;
  };
}
