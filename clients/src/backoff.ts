const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 30_000;

/** Returns the time before the next attempt: doubled after each failure up to 30 s, and then any time between its half and the whole. */
export function retryDelay(failures: number): number {
  const ceiling = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.max(0, failures - 1));
  return ceiling * (0.5 + Math.random() / 2);
}

/** Waits, at most until the browser is online again or the signal is aborted. */
export function wait(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const page = typeof addEventListener === 'function' ? globalThis : null;
    const end = (): void => {
      clearTimeout(timer);
      page?.removeEventListener('online', end);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, delayMs);
    page?.addEventListener('online', end);
    signal?.addEventListener('abort', end);
    if (signal?.aborted) {
      end();
    }
  });
}
