import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isUniqueViolation } from './failures.ts';
import type { Database } from './open.ts';
import type { Transaction } from './transactions.ts';

/** How long a lease lasts unless it is renewed, in milliseconds. */
const LIFE_MS = 6_000;
const RENEW_INTERVAL_MS = 2_000;
/** How long before its end a holder that could not renew stops: its clock and the others' need not agree to the last second. */
const MARGIN_MS = 1_500;
/** How often a process that would like to have the lease looks whether it is free. */
const LOOK_INTERVAL_MS = 1_000;
const TICK_MS = 250;

/** A lease that is held, as far as the work under it may know. */
export interface LeaseHandle {
  /** Aborted when the work has to stop: the lease ran out, was lost, or is about to be given up. */
  readonly signal: AbortSignal;
  /** Whether no other process can have the lease at this very moment. */
  readonly isValid: () => boolean;
  /**
   * Writes in a transaction that takes place only while the lease is held.
   *
   * @throws {LeaseLostError} when another process has it
   */
  readonly fencedWrite: (work: (transaction: Transaction) => Promise<void>) => Promise<void>;
}

export interface LeaseOptions {
  readonly database: Database;
  readonly name: string;
  /** Takes note of a failure; it is tried again. */
  readonly onFailure: (error: unknown) => void;
}

/** Another process took the lease over, which happens to a holder that did not renew in time. */
export class LeaseLostError extends Error {
  constructor(name: string) {
    super(`Another process holds the lease ${name}.`);
    this.name = 'LeaseLostError';
  }
}

/**
 * Runs work in one process at a time, of all that share a database: whichever takes the lease. When its process dies another one takes over
 * within seconds. The work goes on until the signal of its lease is aborted, and is started anew when it fails. The function that is returned stops it and
 * gives the lease up at once.
 *
 * The end of a lease is told by the clocks of the processes: where those differ by seconds, two may believe that they hold it. What must never
 * happen twice belongs in {@link LeaseHandle.fencedWrite}.
 */
export function workUnderLease(
  options: LeaseOptions,
  work: (lease: LeaseHandle) => Promise<void>,
): () => Promise<void> {
  const lease = new Lease(options);
  const stopping = new AbortController();
  const running = (async () => {
    while (!stopping.signal.aborted) {
      try {
        if (await lease.take()) {
          // The stop may have been asked for while the lease was taken.
          await (stopping.signal.aborted ? lease.release() : lease.keep(work, stopping.signal));
        }
      } catch (error) {
        options.onFailure(error);
      }
      await sleep(LOOK_INTERVAL_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();
  return async () => {
    stopping.abort();
    await running;
  };
}

/** Runs work once, if no other process does at the moment; says whether it ran. The work stops soon after its lease's signal is aborted. */
export async function workIfLeaseIsFree(
  options: LeaseOptions,
  stopping: AbortSignal,
  work: (lease: LeaseHandle) => Promise<void>,
): Promise<boolean> {
  const lease = new Lease(options);
  if (!(await lease.take())) {
    return false;
  }
  await lease.keep(work, stopping);
  return true;
}

class Lease {
  readonly #options: LeaseOptions;
  readonly #holder = randomUUID();
  /** Until when the lease is ours for sure, on the clock that nobody sets. */
  #validUntil = 0;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Takes the lease when it is free, or ours still. */
  async take(): Promise<boolean> {
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

  /** Runs the work and renews the lease meanwhile; afterwards the lease is free. */
  async keep(work: (lease: LeaseHandle) => Promise<void>, stop: AbortSignal): Promise<void> {
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

  /** Renews the lease now and then; aborts `ended` when it is lost, or when a renewal takes too long. */
  #renewUntil(ended: AbortController): () => Promise<void> {
    const { database, name, onFailure } = this.#options;
    let renewal: Promise<void> | null = null;
    let renewedAt = performance.now();
    const renew = async (): Promise<void> => {
      renewedAt = performance.now();
      const kept = await this.#claim(database, { holder: this.#holder });
      if (!kept) {
        ended.abort();
        throw new LeaseLostError(name);
      }
    };
    const timer = setInterval(() => {
      if (ended.signal.aborted) {
        clearInterval(timer);
      } else if (!this.#isValid()) {
        onFailure(new Error(`The lease ${name} could not be renewed in time.`));
        ended.abort();
      } else if (!renewal && performance.now() - renewedAt >= RENEW_INTERVAL_MS) {
        renewal = renew()
          .catch(onFailure)
          .finally(() => {
            renewal = null;
          });
      }
    }, TICK_MS);
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
      data: { holder: this.#holder, expiresAt: lifeFromNow() },
    });
    return count > 0;
  }

  async #create(): Promise<boolean> {
    const { database, name } = this.#options;
    const validUntil = this.#trustedUntil();
    try {
      await database.lease.create({ data: { name, holder: this.#holder, expiresAt: lifeFromNow() } });
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

  /** When a lease that is written after this call can't be trusted any more. */
  #trustedUntil(): number {
    return performance.now() + LIFE_MS - MARGIN_MS;
  }
}

type LeaseClient = Pick<Database, 'lease'>;

function lifeFromNow(): Date {
  return new Date(Date.now() + LIFE_MS);
}
