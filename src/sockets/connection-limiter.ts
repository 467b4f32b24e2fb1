export interface ConnectionLimits {
  /** The maximum of open connections with the same key. */
  readonly perKey: number;
  /** The maximum of open connections in total; unlimited when left out. */
  readonly total?: number;
}

/** Limits the open connections, or subscriptions, of each key, like a user or an address, and in total. */
export class ConnectionLimiter<Key> {
  readonly #open = new Map<Key, number>();
  readonly #onChange: (key: Key, isOpen: boolean) => void;
  readonly #limits: Required<ConnectionLimits>;
  #size = 0;

  /** `onChange` is called when the first connection of a key is opened, and when its last one is closed. */
  constructor(
    { perKey, total = Number.POSITIVE_INFINITY }: ConnectionLimits,
    onChange: (key: Key, isOpen: boolean) => void = () => undefined,
  ) {
    this.#limits = { perKey, total };
    this.#onChange = onChange;
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
    if (open === 0) {
      this.#onChange(key, true);
    }
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
        this.#onChange(key, false);
      } else {
        this.#open.set(key, left);
      }
    };
  }
}
