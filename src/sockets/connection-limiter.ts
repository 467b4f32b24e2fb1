export interface ConnectionLimits {
  /** The maximum of open connections with the same key. */
  readonly perKey: number;
  /** The maximum of open connections in total; unlimited when left out. */
  readonly total?: number;
}

/** Limits the open connections, or subscriptions, of each key, like a user or an address, and in total. */
export class ConnectionLimiter<Key> {
  readonly #open = new Map<Key, number>();
  readonly #limits: Required<ConnectionLimits>;
  #size = 0;

  constructor({ perKey, total = Number.POSITIVE_INFINITY }: ConnectionLimits) {
    this.#limits = { perKey, total };
  }

  /** Whether the total limit is reached. */
  get isFull(): boolean {
    return this.#size >= this.#limits.total;
  }

  /** Counts a connection. Returns the function that releases it, or null when a limit is reached. */
  acquire(key: Key): (() => void) | null {
    const open = this.#open.get(key) ?? 0;
    if (open >= this.#limits.perKey || this.isFull) {
      return null;
    }
    this.#open.set(key, open + 1);
    this.#size += 1;
    let isReleased = false;
    return () => {
      if (isReleased) {
        return;
      }
      isReleased = true;
      this.#size -= 1;
      const left = (this.#open.get(key) ?? 1) - 1;
      if (left === 0) {
        this.#open.delete(key);
      } else {
        this.#open.set(key, left);
      }
    };
  }
}
