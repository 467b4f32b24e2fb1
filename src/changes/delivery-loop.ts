import type { ResultStore } from './results.ts';

/** How long the loop runs before it yields to sockets, requests and timers, in milliseconds. */
const TURN_MS = 8;
/** How long the rows that events refer to are shared between renderings, in milliseconds. */
const LOADER_SCOPE_MS = 50;

/** The queued events of one subscription, as the loop sees them. */
export interface ScheduledDelivery {
  /** Whether the delivery is in the loop's ready list. */
  isScheduled: boolean;
  /** The approximate memory that the queued events take, in bytes. */
  readonly bytes: number;
  /** Sends one batch of the queued events. */
  advance(): void;
  /** Drops the queued events. Those of the log are replayed from it later. */
  shed(): void;
}

/**
 * The loop that writes events to the readers of all transports: one batch of each delivery in turn. It yields to sockets, requests and timers after a few
 * milliseconds.
 */
export class DeliveryLoop {
  readonly results: ResultStore;
  readonly #maxWaitingBytes: number;
  readonly #deliveries = new Set<ScheduledDelivery>();
  #ready: ScheduledDelivery[] = [];
  #isRunning = false;
  #loaderScope: { readonly since: number } = { since: 0 };
  /** The number of events that were written to readers. */
  delivered = 0;
  /** The number of deliveries whose queue was dropped because the queues of the process exceeded their bound. */
  shed = 0;

  /** `maxWaitingBytes` bounds the events in all queues of the process together. */
  constructor(results: ResultStore, maxWaitingBytes: number) {
    this.results = results;
    this.#maxWaitingBytes = maxWaitingBytes;
  }

  /** The key under which renderings share the rows that events refer to: the same object for all events that are rendered within {@link LOADER_SCOPE_MS}. */
  get loaderScope(): object {
    const now = performance.now();
    if (now - this.#loaderScope.since > LOADER_SCOPE_MS) {
      this.#loaderScope = { since: now };
    }
    return this.#loaderScope;
  }

  /** Ends the present loader scope, so that events of later changes are not rendered with rows that were read before. */
  renewLoaderScope(): void {
    this.#loaderScope = { since: performance.now() };
  }

  add(delivery: ScheduledDelivery): void {
    this.#deliveries.add(delivery);
  }

  remove(delivery: ScheduledDelivery): void {
    this.#deliveries.delete(delivery);
  }

  schedule(delivery: ScheduledDelivery): void {
    if (delivery.isScheduled) {
      return;
    }
    delivery.isScheduled = true;
    this.#ready.push(delivery);
    if (!this.#isRunning) {
      this.#isRunning = true;
      queueMicrotask(() => this.#run());
    }
  }

  #run(): void {
    const end = performance.now() + TURN_MS;
    while (this.#ready.length > 0) {
      const round = this.#ready;
      this.#ready = [];
      for (const [index, delivery] of round.entries()) {
        delivery.isScheduled = false;
        delivery.advance();
        if (performance.now() >= end) {
          this.#ready = [...round.slice(index + 1), ...this.#ready];
          setImmediate(() => this.#run());
          return;
        }
      }
    }
    this.#isRunning = false;
    this.#shedExcess();
  }

  /** Drops the largest queues, to be replayed from the log, until the rest is within the bound. */
  #shedExcess(): void {
    if (this.results.waitingBytes <= this.#maxWaitingBytes) {
      return;
    }
    const largest = [...this.#deliveries]
      .filter(({ bytes }) => bytes > 0)
      .sort((left, right) => right.bytes - left.bytes);
    for (const delivery of largest) {
      if (this.results.waitingBytes <= this.#maxWaitingBytes) {
        return;
      }
      this.shed += 1;
      delivery.shed();
    }
  }
}
