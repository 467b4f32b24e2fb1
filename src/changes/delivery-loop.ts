import type { Delivery } from './delivery.ts';
import type { ResultStore } from './results.ts';

/** How long the loop goes on before sockets, requests and timers get their turn, in milliseconds. */
const TURN_MS = 8;
/** How long rows that hang on events are shared, in milliseconds. */
const WAVE_MS = 50;

/**
 * The one loop that moves events to the readers of every transport. Each delivery gets a batch at a time, in turn, and the loop gives way to
 * sockets, requests and timers after a few milliseconds.
 */
export class DeliveryLoop {
  readonly results: ResultStore;
  readonly #maxWaitingBytes: number;
  readonly #deliveries = new Set<Delivery>();
  #ready: Delivery[] = [];
  #isStarted = false;
  #wave: { readonly since: number } = { since: 0 };
  /** How many events were written to readers. */
  delivered = 0;
  /** How many deliveries were sent back to the log since the process held too much. */
  shed = 0;

  /** `maxWaitingBytes` bounds the events that wait in all queues of the process together. */
  constructor(results: ResultStore, maxWaitingBytes: number) {
    this.results = results;
    this.#maxWaitingBytes = maxWaitingBytes;
  }

  /** The same for all events that are rendered at about the same time, which share the rows that hang on them. */
  get wave(): object {
    const now = performance.now();
    if (now - this.#wave.since > WAVE_MS) {
      this.#wave = { since: now };
    }
    return this.#wave;
  }

  /** Rows that were read before are not used for events that come now. */
  beginWave(): void {
    this.#wave = { since: performance.now() };
  }

  add(delivery: Delivery): void {
    this.#deliveries.add(delivery);
  }

  remove(delivery: Delivery): void {
    this.#deliveries.delete(delivery);
  }

  schedule(delivery: Delivery): void {
    if (delivery.isScheduled) {
      return;
    }
    delivery.isScheduled = true;
    this.#ready.push(delivery);
    if (!this.#isStarted) {
      this.#isStarted = true;
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
    this.#isStarted = false;
    this.#shedExcess();
  }

  /** Sends the deliveries with the most waiting bytes back to the log until the rest is within the bound. */
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
