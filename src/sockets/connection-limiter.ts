export interface ConnectionLimits {
  /** How many of one key may be open. */
  readonly perKey: number;
  /** How many of all keys; no limit when left out. */
  readonly inAll?: number;
}

/** Limits how many connections or subscriptions of each key, like a user or an address, and of all together are open. */
export class ConnectionLimiter<Key> {
  readonly #open = new Map<Key, number>();
  readonly #limits: Required<ConnectionLimits>;
  #size = 0;

  constructor({ perKey, inAll = Number.POSITIVE_INFINITY }: ConnectionLimits) {
    this.#limits = { perKey, inAll };
  }

  /** Whether as many are open as are allowed of all keys together. */
  get isFull(): boolean {
    return this.#size >= this.#limits.inAll;
  }

  /** Counts one more; returns the function that releases it, or null when as many are open as are allowed. */
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
