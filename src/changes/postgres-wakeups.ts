import type { PostgresPeers } from '../database/postgres-peers.ts';
import { CHANGES_TOPIC } from './postgres-triggers.ts';

const TICK_MS = 25;
/** The interval of polls without a notification, in milliseconds: the delay that a lost notification causes. */
const POLL_INTERVAL_MS = 250;
/**
 * How long the log is polled with every tick while a running transaction holds the horizon, in milliseconds: a transaction that rolls back sends no
 * notification.
 */
const FAST_POLL_MS = 1_000;

/** Decides when the log of a PostgreSQL database is polled: at notifications and at intervals. */
export class PostgresWakeups {
  #timer: NodeJS.Timeout | null = null;
  #heldBackSince: number | null = null;

  /** Starts to call back whenever the log should be polled. */
  start(peers: PostgresPeers, wake: () => void): void {
    peers.listen(CHANGES_TOPIC, wake).catch(() => undefined);
    let polledAt = 0;
    this.#timer = setInterval(() => {
      const now = performance.now();
      const isUrgent = this.#heldBackSince !== null && now - this.#heldBackSince < FAST_POLL_MS;
      if (isUrgent || now - polledAt >= POLL_INTERVAL_MS) {
        polledAt = now;
        wake();
      }
    }, TICK_MS).unref();
  }

  /** Records whether a running transaction holds the horizon. */
  setHeldBack(isHeldBack: boolean): void {
    this.#heldBackSince = isHeldBack ? (this.#heldBackSince ?? performance.now()) : null;
  }

  stop(): void {
    if (this.#timer) {
      clearInterval(this.#timer);
    }
  }
}
