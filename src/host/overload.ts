import type { Server } from 'node:http';
import { AcceptDelay } from './accept-delay.ts';

/** The interval of the measurements, in milliseconds. */
const INTERVAL_MS = 20;
/** The number of consecutive late measurements that mean overload: a single one may be late because of a garbage collection. */
const LATE_IN_A_ROW = 3;
/** The number of consecutive timely measurements, without a refused request, that end the overload. */
const TIMELY_IN_A_ROW = 10;

/** The share of accepted requests while connections wait too long: it falls by a factor when they do, and rises by a step otherwise. */
const MIN_SHARE = 0.05;
const SHARE_FACTOR = 0.95;
const SHARE_STEP = 0.02;

/**
 * Decides which requests an overloaded process refuses.
 *
 * - When the event loop is late by half of the allowed delay, several times in a row, each turn of the loop accepts requests
 *   for a quarter of the allowed delay and refuses the rest. An accepted request then waits little longer than one turn.
 * - When new connections wait for half of the allowed delay, a share of all requests is accepted, which adapts until the
 *   connections are accepted in time.
 */
export class OverloadGuard {
  readonly #lateMs: number;
  readonly #budgetMs: number;
  readonly #timer: NodeJS.Timeout | undefined;
  #last = performance.now();
  #late = 0;
  #timely = 0;
  #isOverloaded = false;
  #turnStartedAt: number | null = null;
  #refused = 0;
  #refusedBefore = 0;
  #lateAccepts = 0;
  #share = 1;
  #accepts: AcceptDelay | null = null;

  /** `maxDelayMs` is the allowed delay of the event loop; with 0 no request is refused. */
  constructor(maxDelayMs: number) {
    this.#lateMs = maxDelayMs / 2;
    this.#budgetMs = maxDelayMs / 4;
    if (maxDelayMs > 0) {
      this.#timer = setInterval(() => this.#measure(), INTERVAL_MS);
      this.#timer.unref();
    }
  }

  /** Measures the delay of new connections of a server, too. */
  measureConnections(server: Server): void {
    if (this.#timer) {
      this.#accepts = new AcceptDelay(server);
    }
  }

  /** The number of refused requests. */
  get refused(): number {
    return this.#refused;
  }

  /** Returns whether a request that has just arrived is refused. */
  refuses(): boolean {
    const isRefused = this.#refusesByTurn() || (this.#share < 1 && Math.random() > this.#share);
    this.#refused += Number(isRefused);
    return isRefused;
  }

  #refusesByTurn(): boolean {
    if (!this.#isOverloaded) {
      return false;
    }
    const now = performance.now();
    if (this.#turnStartedAt === null) {
      this.#turnStartedAt = now;
      setImmediate(() => {
        this.#turnStartedAt = null;
      });
    }
    return now - this.#turnStartedAt > this.#budgetMs;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#accepts?.close();
  }

  #measure(): void {
    const now = performance.now();
    const isLate = now - this.#last - INTERVAL_MS > this.#lateMs;
    const isCalm = !isLate && this.#refused === this.#refusedBefore;
    this.#lateAccepts = (this.#accepts?.ms ?? 0) > this.#lateMs ? this.#lateAccepts + 1 : 0;
    const isTooSlow = this.#lateAccepts >= LATE_IN_A_ROW;
    this.#share = isTooSlow ? Math.max(MIN_SHARE, this.#share * SHARE_FACTOR) : Math.min(1, this.#share + SHARE_STEP);
    this.#last = now;
    this.#refusedBefore = this.#refused;
    this.#late = isLate ? this.#late + 1 : 0;
    this.#timely = isCalm ? this.#timely + 1 : 0;
    if (this.#late >= LATE_IN_A_ROW) {
      this.#isOverloaded = true;
    } else if (this.#timely >= TIMELY_IN_A_ROW) {
      this.#isOverloaded = false;
    }
  }
}
