/** How often the delay of the event loop is measured, in milliseconds. */
const INTERVAL_MS = 20;
/** The loop is overloaded after so many late measurements in a row: one alone may be a collection of garbage. */
const LATE_IN_A_ROW = 3;
/** It is no longer after so many timely ones in a row, between which nothing was refused. */
const TIMELY_IN_A_ROW = 10;

/**
 * Decides which requests an overloaded process refuses. Once the event loop was late by half of the delay that is allowed, several times in a row, each of its
 * turns takes requests for a quarter of it and refuses the rest: what is taken waits for little more than the turn before.
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

  /** `maxDelayMs` is the delay of the event loop that is allowed; with 0 nothing is ever refused. */
  constructor(maxDelayMs: number) {
    this.#lateMs = maxDelayMs / 2;
    this.#budgetMs = maxDelayMs / 4;
    if (maxDelayMs > 0) {
      this.#timer = setInterval(() => this.#measure(), INTERVAL_MS);
      this.#timer.unref();
    }
  }

  /** How many requests were refused. */
  get refused(): number {
    return this.#refused;
  }

  /** Whether to refuse a request that has just come. */
  refuses(): boolean {
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
    const isRefused = now - this.#turnStartedAt > this.#budgetMs;
    this.#refused += Number(isRefused);
    return isRefused;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #measure(): void {
    const now = performance.now();
    const isLate = now - this.#last - INTERVAL_MS > this.#lateMs;
    const isCalm = !isLate && this.#refused === this.#refusedBefore;
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
