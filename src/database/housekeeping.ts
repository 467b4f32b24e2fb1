import { setTimeout as pause } from 'node:timers/promises';

/** Background work that is repeated. */
export interface PeriodicTask {
  /** The pause between two runs, in milliseconds. */
  readonly intervalMs: number;
  /** Does the work; stops soon after the signal is aborted. */
  readonly work: (stopping: AbortSignal) => Promise<void>;
  /** Called with the error of a run that failed; the next run follows after a pause. */
  readonly onFailure: (error: unknown) => void;
}

/** The pauses after failures of a task that is run until it succeeds, in milliseconds; each is twice as long as the one before. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 5 * 60_000;

/** Runs a task until it succeeds once or `stopping` is aborted, with growing pauses after failures. */
export async function runUntilDone(
  { work, onFailure }: Pick<PeriodicTask, 'work' | 'onFailure'>,
  stopping: AbortSignal,
): Promise<void> {
  for (let delay = FIRST_PAUSE_MS; !stopping.aborted; delay = Math.min(2 * delay, LONGEST_PAUSE_MS)) {
    try {
      await work(stopping);
      return;
    } catch (error) {
      onFailure(error);
    }
    await pause(delay, undefined, { signal: stopping, ref: false }).catch(() => undefined);
  }
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
