import type { LogPosition } from './cursor.ts';

/** How long a caller waits for a log that cannot be read, in milliseconds. */
const TIMEOUT_MS = 60_000;

interface Waiter {
  readonly resolve: (head: LogPosition) => void;
  readonly reject: (error: Error) => void;
}

/** Callers who wait for the next poll of the log. */
export class Refreshes {
  #waiting = new Set<Waiter>();

  /** Waits for a poll that is not running yet. */
  add(): Promise<LogPosition> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(waiter);
        reject(new Error('The change log cannot be read.'));
      }, TIMEOUT_MS).unref();
      const waiter: Waiter = {
        resolve: (head) => {
          clearTimeout(timer);
          resolve(head);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#waiting.add(waiter);
    });
  }

  /** Takes those who wait, for a poll that begins now. */
  take(): { resolve: (head: LogPosition) => void; putBack: () => void } {
    const taken = this.#waiting;
    this.#waiting = new Set();
    return {
      resolve: (head) => {
        for (const waiter of taken) {
          waiter.resolve(head);
        }
      },
      putBack: () => {
        for (const waiter of taken) {
          this.#waiting.add(waiter);
        }
      },
    };
  }

  reject(error: Error): void {
    for (const waiter of this.#waiting) {
      waiter.reject(error);
    }
    this.#waiting.clear();
  }
}
