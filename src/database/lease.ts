import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database, Transaction } from './client.ts';
import { isUniqueViolation } from './failures.ts';

/** How long a lease lasts unless it is renewed, in milliseconds. */
const LEASE_DURATION_MS = 6_000;
const RENEW_INTERVAL_MS = 2_000;
/** How long before the expiry a holder that could not renew stops, in milliseconds, since the clocks of the processes may differ. */
const SAFETY_MARGIN_MS = 1_500;
/** The interval at which a process without the lease tries to acquire it, in milliseconds. */
const ACQUIRE_INTERVAL_MS = 1_000;
const RENEW_CHECK_INTERVAL_MS = 250;

/** The lease as the work under it sees it. */
export interface LeaseHandle {
  /** Aborted when the work has to stop: the lease has expired, was lost, or is about to be released. */
  readonly signal: AbortSignal;
  /** Returns whether no other process can have the lease at this moment. */
  readonly isValid: () => boolean;
  /**
   * Runs a transaction that is committed only if this process still has the lease.
   *
   * @throws {LeaseLostError} when another process has it
   */
  readonly fencedWrite: (work: (transaction: Transaction) => Promise<void>) => Promise<void>;
}

export interface LeaseOptions {
  readonly database: Database;
  readonly name: string;
  /** Called with the error of a failure, after which the lease is tried again. */
  readonly onFailure: (error: unknown) => void;
}

/** Another process has taken over the lease, since this one did not renew it in time. */
export class LeaseLostError extends Error {
  constructor(name: string) {
    super(`Another process holds the lease ${name}, since this one did not renew it in time.`);
    this.name = 'LeaseLostError';
  }
}

/**
 * Runs work in one process at a time: the one of all processes on a database that has the lease. When that process dies, another one takes over within
 * seconds. The work runs until the signal of its lease is aborted, and is restarted when it fails. Returns the function that stops it and releases the lease.
 *
 * The processes compare the expiry with their own clocks: when these differ by seconds, two processes may both run the work. Writes that must never happen
 * twice belong in {@link LeaseHandle.fencedWrite}.
 */
export function runUnderLease(options: LeaseOptions, work: (lease: LeaseHandle) => Promise<void>): () => Promise<void> {
  const lease = new Lease(options);
  const stopping = new AbortController();
  const running = (async () => {
    while (!stopping.signal.aborted) {
      try {
        if (await lease.acquire()) {
          // The stop may have been requested while the lease was being acquired.
          await (stopping.signal.aborted ? lease.release() : lease.run(work, stopping.signal));
        }
      } catch (error) {
        options.onFailure(error);
      }
      await sleep(ACQUIRE_INTERVAL_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();
  return async () => {
    stopping.abort();
    await running;
  };
}

/** Runs work once if the lease is free; returns whether it ran. The work stops soon after the signal of its lease is aborted. */
export async function tryRunUnderLease(
  options: LeaseOptions,
  stopping: AbortSignal,
  work: (lease: LeaseHandle) => Promise<void>,
): Promise<boolean> {
  const lease = new Lease(options);
  if (!(await lease.acquire())) {
    return false;
  }
  await lease.run(work, stopping);
  return true;
}

class Lease {
  readonly #options: LeaseOptions;
  readonly #holder = randomUUID();
  /** Until when no other process can have the lease, on the monotonic clock. */
  #validUntil = 0;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Acquires the lease if it is free or still belongs to this process. */
  async acquire(): Promise<boolean> {
    const { database, name } = this.#options;
    const present = await database.lease.findUnique({ where: { name } });
    const now = new Date();
    if (!present) {
      return this.#create();
    }
    if (present.holder !== this.#holder && present.expiresAt > now) {
      return false;
    }
    return this.#claim(database, { OR: [{ holder: this.#holder }, { expiresAt: { lte: now } }] });
  }

  /** Runs the work and renews the lease during that time; then releases the lease. */
  async run(work: (lease: LeaseHandle) => Promise<void>, stop: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const end = (): void => ended.abort();
    stop.addEventListener('abort', end);
    const stopRenewing = this.#renewUntil(ended);
    try {
      await work({
        signal: ended.signal,
        isValid: () => !ended.signal.aborted && this.#isValid(),
        fencedWrite: (writes) => this.#write(writes),
      });
    } finally {
      end();
      stop.removeEventListener('abort', end);
      await stopRenewing();
      await this.release().catch(this.#options.onFailure);
    }
  }

  #isValid(): boolean {
    return performance.now() < this.#validUntil;
  }

  /** Renews the lease periodically; aborts `ended` when the lease is lost or could not be renewed in time. */
  #renewUntil(ended: AbortController): () => Promise<void> {
    const { database, name, onFailure } = this.#options;
    let renewal: Promise<void> | null = null;
    let renewedAt = performance.now();
    const renew = async (): Promise<void> => {
      renewedAt = performance.now();
      const isRenewed = await this.#claim(database, { holder: this.#holder });
      if (!isRenewed) {
        ended.abort();
        throw new LeaseLostError(name);
      }
    };
    const timer = setInterval(() => {
      if (ended.signal.aborted) {
        clearInterval(timer);
      } else if (!this.#isValid()) {
        onFailure(
          new Error(
            `The lease ${name} could not be renewed in time. Its work stops until the lease is acquired again.`,
          ),
        );
        ended.abort();
      } else if (!renewal && performance.now() - renewedAt >= RENEW_INTERVAL_MS) {
        renewal = renew()
          .catch(onFailure)
          .finally(() => {
            renewal = null;
          });
      }
    }, RENEW_CHECK_INTERVAL_MS);
    return async () => {
      clearInterval(timer);
      await renewal;
    };
  }

  async #write(work: (transaction: Transaction) => Promise<void>): Promise<void> {
    const { database, name } = this.#options;
    const validUntil = this.#trustedUntil();
    await database.$transaction(async (transaction) => {
      if (!(await this.#update(transaction, { holder: this.#holder }))) {
        throw new LeaseLostError(name);
      }
      await work(transaction);
    });
    this.#validUntil = validUntil;
  }

  async #claim(client: LeaseClient, condition: object): Promise<boolean> {
    const validUntil = this.#trustedUntil();
    const claimed = await this.#update(client, condition);
    if (claimed) {
      this.#validUntil = validUntil;
    }
    return claimed;
  }

  async #update(client: LeaseClient, condition: object): Promise<boolean> {
    const { count } = await client.lease.updateMany({
      where: { name: this.#options.name, ...condition },
      data: { holder: this.#holder, expiresAt: newExpiry() },
    });
    return count > 0;
  }

  async #create(): Promise<boolean> {
    const { database, name } = this.#options;
    const validUntil = this.#trustedUntil();
    try {
      await database.lease.create({ data: { name, holder: this.#holder, expiresAt: newExpiry() } });
    } catch (error) {
      if (isUniqueViolation(error)) {
        return false;
      }
      throw error;
    }
    this.#validUntil = validUntil;
    return true;
  }

  async release(): Promise<void> {
    const { database, name } = this.#options;
    await database.lease.deleteMany({ where: { name, holder: this.#holder } });
  }

  /** Returns the end of the safe use of a lease that is written after this call. */
  #trustedUntil(): number {
    return performance.now() + LEASE_DURATION_MS - SAFETY_MARGIN_MS;
  }
}

type LeaseClient = Pick<Database, 'lease'>;

function newExpiry(): Date {
  return new Date(Date.now() + LEASE_DURATION_MS);
}
