/** Limits how many connections each user keeps open. */
export class ConnectionLimiter {
  readonly #open = new Map<number, number>();
  readonly #maxPerUser: number;

  constructor(maxPerUser: number) {
    this.#maxPerUser = maxPerUser;
  }

  /** Counts a connection; returns the function that releases it, or null when the user has as many as are allowed. */
  acquire(userId: number): (() => void) | null {
    const open = this.#open.get(userId) ?? 0;
    if (open >= this.#maxPerUser) {
      return null;
    }
    this.#open.set(userId, open + 1);
    let isReleased = false;
    return () => {
      if (isReleased) {
        return;
      }
      isReleased = true;
      const left = (this.#open.get(userId) ?? 1) - 1;
      if (left === 0) {
        this.#open.delete(userId);
      } else {
        this.#open.set(userId, left);
      }
    };
  }
}
