/** The number of connections and subscriptions that are authenticated or started at the same time. */
const MAX_RUNNING = 8;

/**
 * Limits how many connections and subscriptions start at the same time. When all clients connect again at once, the others
 * wait, and each start gets its own turn of the event loop, so that requests and events are processed in between.
 */
export class ConcurrencyLimiter {
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** The number of starts that wait. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Runs the work when fewer than the maximum are running, in the order of the calls. */
  async run<Value>(work: () => Promise<Value>): Promise<Value> {
    if (this.#running >= MAX_RUNNING) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running += 1;
    }
    try {
      return await work();
    } finally {
      setImmediate(() => this.#next());
    }
  }

  #next(): void {
    const next = this.#waiting.shift();
    if (next) {
      next();
    } else {
      this.#running -= 1;
    }
  }
}
