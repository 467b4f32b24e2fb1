import { setTimeout as pause } from 'node:timers/promises';

/** Background work that is repeated. */
export interface PeriodicTask {
  /** The pause between two runs, in milliseconds. */
  readonly intervalMs: number;
  /** Does the work; stops soon after the signal is aborted. */
  readonly work: (stopping: AbortSignal) => Promise<void>;
  /** Called with the error of a run that failed; the next run follows after the usual pause. */
  readonly onFailure: (error: unknown) => void;
}

/** Runs a task repeatedly, for the first time after one interval; returns the function that stops it. */
export function runPeriodically({ intervalMs, work, onFailure }: PeriodicTask): () => Promise<void> {
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
