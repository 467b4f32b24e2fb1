import { setTimeout as pause } from 'node:timers/promises';

/** The time per connection over which connections are closed, in milliseconds, unless that exceeds the configured time: 500 a second. */
const SPACING_MS = 2;

/** The functions that each close one WebSocket or event stream. */
export type ConnectionClosers = readonly (() => void)[];

/**
 * Makes a transport refuse further WebSockets and event streams. Returns the closers of those that are open. They close
 * connections such that clients connect again, which then reach another server.
 */
export type DrainConnections = () => ConnectionClosers;

/** Whether a server is about to stop. It still serves everything, and reports that on `/ready` and in the header `connection: close`. */
export class Draining {
  #isDraining = false;

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Begins to report the stop, and waits for the load balancers to notice: `ms` milliseconds. */
  async run(ms: number): Promise<void> {
    this.#isDraining = true;
    if (ms > 0) {
      await pause(ms);
    }
  }
}

/** Closes connections one by one, spread over at most `maxMs` milliseconds, so that their clients do not all connect elsewhere at the same moment. */
export async function closeGradually(closers: ConnectionClosers, maxMs: number): Promise<void> {
  const stepMs = Math.min(SPACING_MS, maxMs / Math.max(closers.length, 1));
  await Promise.all(
    closers.map(async (close, index) => {
      await pause((index + Math.random()) * stepMs);
      close();
    }),
  );
}
