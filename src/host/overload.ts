import type { Server } from 'node:http';
import { AcceptDelay } from './accept-delay.ts';

/** How often the delay of the event loop is measured, in milliseconds. */
const INTERVAL_MS = 20;
/** The loop is overloaded after so many late measurements in a row: one alone may be a collection of garbage. */
const LATE_IN_A_ROW = 3;
/** It is no longer after so many timely ones in a row, between which nothing was refused. */
const TIMELY_IN_A_ROW = 10;

/** The part of requests that is taken while connections wait for too long: lower with each late measurement, higher with each timely one. */
const MIN_SHARE = 0.05;
const LESS = 0.95;
const MORE = 0.02;

/**
 * Decides which requests an overloaded process refuses. Once the event loop was late by half of the delay that is allowed, several times in a row, each of its
 * turns takes requests for a quarter of it and refuses the rest: what is taken waits for little more than the turn before. Where it is new connections that wait by half of
 * the delay, it takes a part of all requests, as large as lets the connections be accepted in time.
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

  /** `maxDelayMs` is the delay of the event loop that is allowed; with 0 nothing is ever refused. */
  constructor(maxDelayMs: number) {
    this.#lateMs = maxDelayMs / 2;
    this.#budgetMs = maxDelayMs / 4;
    if (maxDelayMs > 0) {
      this.#timer = setInterval(() => this.#measure(), INTERVAL_MS);
      this.#timer.unref();
    }
  }

  /** Watches over the connections of a server as well. */
  watch(server: Server): void {
    if (this.#timer) {
      this.#accepts = new AcceptDelay(server);
    }
  }

  /** How many requests were refused. */
  get refused(): number {
    return this.#refused;
  }

  /** Whether to refuse a request that has just come. */
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
    this.#share = isTooSlow ? Math.max(MIN_SHARE, this.#share * LESS) : Math.min(1, this.#share + MORE);
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
