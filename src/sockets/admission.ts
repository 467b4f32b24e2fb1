/** How many connections are authenticated, and subscriptions started, at the same time. */
const MAX_RUNNING = 8;

/**
 * Lets connections and subscriptions begin a few at a time, each in a turn of the event loop of its own: when all clients come back at once, requests and
 * live events get their turns in between.
 */
export class Admission {
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** How many wait for their turn. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Does the work when it is its turn. */
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
