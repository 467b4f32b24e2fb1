import type { Viewer } from '../viewer.ts';
import type { DeliveryLoop } from './delivery-loop.ts';
import type { StreamEvent } from './filter.ts';
import type { Item, Result } from './result.ts';
import type { Renderer, ResultGroup } from './results.ts';

/** How many events of one subscription, and how many bytes of them, are rendered together: the rows that they refer to are loaded by one statement. */
const MAX_BATCH_EVENTS = 64;
const MAX_BATCH_BYTES = 256 * 1024;

/** Why a subscription ended. */
export type StreamEnd =
  | { readonly kind: 'complete' }
  /** With `isTooSlow` the reader was too slow, and the connection is closed as well. */
  | { readonly kind: 'error'; readonly error: Error; readonly isTooSlow: boolean };

/** The writer of a transport that takes the results of one subscription. */
export interface Sink {
  /** Whether the transport takes more results at present (backpressure). */
  isWritable(): boolean;
  /** Calls back once when the transport takes results again. */
  onceWritable(callback: () => void): void;
  send(result: Result, event: StreamEvent): void;
  end(end: StreamEnd): void;
}

/** One subscription, as a transport uses it. */
export interface EventStream {
  /** Starts to send events to the sink, each with the text that the renderer makes. */
  start(renderer: Renderer, sink: Sink): void;
  /** Ends the subscription on behalf of the client. */
  close(): void;
  /** Calls back once when the subscription has ended for any reason; immediately when it has already. Only one callback is stored. */
  onceEnded(callback: (end: StreamEnd) => void): void;
}

/** The owner of a delivery, which is informed of its progress. */
export interface DeliveryOwner {
  readonly viewer: Viewer;
  /** Whether the viewer may receive the event at this moment. */
  mayReceive(event: StreamEvent): boolean;
  /** The queued items up to this one were sent. */
  onProgress(last: Item): void;
  /** The queue is empty, and the sink is writable. */
  onDrained(): void;
  /** The last event of the subscription was sent. */
  onLast(): void;
  onFailure(error: Error): void;
  /** The process sheds load: the owner drops the queue, and replays events of the log from it later. */
  onShed(): void;
}

/** The queue of one subscription: events to render and write, in order. */
export class Delivery {
  readonly #loop: DeliveryLoop;
  readonly #owner: DeliveryOwner;
  readonly #group: ResultGroup;
  readonly #sink: Sink;
  #queue: Item[] = [];
  #bytes = 0;
  /** Whether it waits for a rendering or for the sink to become writable. */
  #isBlocked = false;
  #isClosed = false;
  /** Whether it is in the loop's ready list. */
  isScheduled = false;

  constructor(loop: DeliveryLoop, owner: DeliveryOwner, group: ResultGroup, sink: Sink) {
    this.#loop = loop;
    this.#owner = owner;
    this.#group = group;
    this.#sink = sink;
    group.join();
    loop.add(this);
  }

  get length(): number {
    return this.#queue.length;
  }

  /** The approximate memory that the queued events take, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the queue is empty and the sink is writable. */
  get isIdle(): boolean {
    return this.#queue.length === 0 && !this.#isBlocked && this.#sink.isWritable();
  }

  get group(): ResultGroup {
    return this.#group;
  }

  push(item: Item): void {
    this.#queue.push(item);
    this.#bytes += item.size;
    this.#group.retain(item);
    this.#loop.schedule(this);
  }

  /** Removes the queued events that the function selects. */
  removeWhere(isRemoved: (event: StreamEvent) => boolean): void {
    const removed = this.#queue.filter(({ event }) => isRemoved(event));
    if (removed.length === 0) {
      return;
    }
    this.#queue = this.#queue.filter(({ event }) => !isRemoved(event));
    for (const item of removed) {
      this.#release(item);
    }
    this.#loop.schedule(this);
  }

  /** Empties the queue; returns the item that was first. */
  clear(): Item | undefined {
    const removed = this.#queue;
    this.#queue = [];
    for (const item of removed) {
      this.#release(item);
    }
    return removed[0];
  }

  close(end: StreamEnd): void {
    if (this.#isClosed) {
      return;
    }
    this.#isClosed = true;
    this.clear();
    this.#group.leave();
    this.#loop.remove(this);
    this.#sink.end(end);
  }

  /** Schedules the delivery in the loop. */
  wake(): void {
    this.#loop.schedule(this);
  }

  shed(): void {
    this.#owner.onShed();
  }

  /** Sends one batch of the queued items that are rendered, while the sink is writable. An error ends this delivery only. */
  advance(): void {
    try {
      this.#advance();
    } catch (error) {
      this.#owner.onFailure(error as Error);
    }
  }

  #advance(): void {
    if (this.#isClosed || this.#isBlocked) {
      return;
    }
    if (!this.#sink.isWritable()) {
      this.#isBlocked = true;
      this.#sink.onceWritable(() => this.#unblock(null));
      return;
    }
    if (this.#queue.length === 0) {
      this.#owner.onDrained();
      return;
    }
    const { viewer } = this.#owner;
    const queue = this.#queue;
    let sent = 0;
    for (; sent < queue.length && sent < MAX_BATCH_EVENTS && this.#sink.isWritable(); sent += 1) {
      const item = queue[sent] as Item;
      const result = item.find(viewer);
      if (!result) {
        break;
      }
      // Access may have been revoked while the item was queued or rendered.
      if (result.text !== null && this.#owner.mayReceive(item.event)) {
        this.#sink.send(result, item.event);
        this.#loop.delivered += 1;
      }
      if (item.event.isLast) {
        this.#owner.onLast();
        return;
      }
    }
    if (sent === 0) {
      this.#isBlocked = true;
      this.#group.request(this.#nextBatch(), viewer, (error) => this.#unblock(error));
    } else {
      this.#dequeue(queue, sent);
    }
  }

  /** Removes the items that were sent from the queue. */
  #dequeue(queue: readonly Item[], sent: number): void {
    this.#queue = sent === queue.length ? [] : queue.slice(sent);
    for (let index = 0; index < sent; index += 1) {
      this.#release(queue[index] as Item);
    }
    this.#owner.onProgress(queue[sent - 1] as Item);
    if (this.#queue.length > 0 || !this.#sink.isWritable()) {
      this.#loop.schedule(this);
    } else {
      this.#owner.onDrained();
    }
  }

  #nextBatch(): Item[] {
    const batch: Item[] = [];
    let bytes = 0;
    for (const item of this.#queue) {
      batch.push(item);
      bytes += item.size;
      if (batch.length === MAX_BATCH_EVENTS || bytes >= MAX_BATCH_BYTES) {
        break;
      }
    }
    return batch;
  }

  #unblock(error: Error | null): void {
    this.#isBlocked = false;
    if (error && !this.#isClosed) {
      this.#owner.onFailure(error);
    } else {
      this.#loop.schedule(this);
    }
  }

  #release(item: Item): void {
    this.#bytes -= item.size;
    this.#group.release(item);
  }
}
