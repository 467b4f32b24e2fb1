import type { PostgresPeers } from '../database/postgres-peers.ts';
import { CHANGES_TOPIC } from './postgres-triggers.ts';

const TICK_MS = 25;
/** How often the log is looked at although nobody said that anything happened: what a lost notification costs. */
const POLL_INTERVAL_MS = 250;
/** For how long it is looked at with every tick when a running transaction keeps changes back: when that one rolls back, nobody says so. */
const ALERT_MS = 1_000;

/** Knows when to look at the log of a PostgreSQL database. */
export class PostgresWaker {
  #timer: NodeJS.Timeout | null = null;
  #laggingSince: number | null = null;

  /** Calls back from now on whenever it is time to look. */
  start(peers: PostgresPeers, wake: () => void): void {
    peers.listen(CHANGES_TOPIC, wake);
    let lookedAt = 0;
    this.#timer = setInterval(() => {
      const now = performance.now();
      const isAlert = this.#laggingSince !== null && now - this.#laggingSince < ALERT_MS;
      if (isAlert || now - lookedAt >= POLL_INTERVAL_MS) {
        lookedAt = now;
        wake();
      }
    }, TICK_MS).unref();
  }

  /** Takes note of whether the log holds changes that can't be read yet. */
  setLagging(isLagging: boolean): void {
    this.#laggingSince = isLagging ? (this.#laggingSince ?? performance.now()) : null;
  }

  stop(): void {
    if (this.#timer) {
      clearInterval(this.#timer);
    }
  }
}
