import type { LogPosition } from './cursor.ts';

/** How long a caller waits for a poll while the log cannot be read, in milliseconds. */
const TIMEOUT_MS = 60_000;

interface Waiter {
  readonly resolve: (head: LogPosition) => void;
  readonly reject: (error: Error) => void;
}

/** The callers that wait for the next poll of the log. */
export class Refreshes {
  #waiting = new Set<Waiter>();

  /** Waits for the next poll that begins; returns the end of the log at that poll. */
  add(): Promise<LogPosition> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(waiter);
        reject(new Error(`The change log could not be read within ${TIMEOUT_MS} ms.`));
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

  /** Removes the waiting callers, for a poll that begins now; `requeue` adds them again when the poll fails. */
  take(): { resolve: (head: LogPosition) => void; requeue: () => void } {
    const taken = this.#waiting;
    this.#waiting = new Set();
    return {
      resolve: (head) => {
        for (const waiter of taken) {
          waiter.resolve(head);
        }
      },
      requeue: () => {
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
