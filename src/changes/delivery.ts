import type { Viewer } from '../viewer.ts';
import type { DeliveryLoop } from './delivery-loop.ts';
import type { StreamEvent } from './filter.ts';
import type { Item, Result } from './result.ts';
import type { Renderer, ResultGroup } from './results.ts';

/** How many events of one subscription are rendered together, so that what hangs on them is loaded together, and how many bytes of them. */
const MAX_BATCH_EVENTS = 64;
const MAX_BATCH_BYTES = 256 * 1024;

/** Why a subscription is over. */
export type StreamEnd =
  | { readonly kind: 'complete' }
  /** `isTooSlow` says that its reader was too slow, after which the connection is closed. */
  | { readonly kind: 'error'; readonly error: Error; readonly isTooSlow: boolean };

/** Where the results of one subscription go: the writer of a transport. */
export interface Sink {
  /** Whether the reader takes more at present. */
  isWritable(): boolean;
  /** Calls back once when it does again. */
  onceWritable(callback: () => void): void;
  send(result: Result, event: StreamEvent): void;
  end(end: StreamEnd): void;
}

/** One subscription, as transports use it. */
export interface EventStream {
  /** Starts to send events to the sink, each with the text that the renderer makes. */
  start(renderer: Renderer, sink: Sink): void;
  /** Ends it since nobody wants it any more. */
  close(): void;
  /** Calls back once when it has ended, however that came; at once when it has already. There is one such callback. */
  onceEnded(callback: () => void): void;
}

/** Who has to know what becomes of a delivery. */
export interface DeliveryOwner {
  readonly viewer: Viewer;
  /** Whether the event may be sent at this very moment. */
  mayReceive(event: StreamEvent): boolean;
  /** The reader took what waited, up to this item. */
  onProgress(last: Item): void;
  /** Nothing waits any more, and the reader takes more. */
  onDrained(): void;
  /** The last event of the subscription was sent. */
  onLast(): void;
  onFailure(error: Error): void;
  /** The process holds too much: what waits here should be left in the log. */
  onShed(): void;
}

/** The events of one subscription that wait to be rendered and written, in order. */
export class Delivery {
  readonly #loop: DeliveryLoop;
  readonly #owner: DeliveryOwner;
  readonly #group: ResultGroup;
  readonly #sink: Sink;
  #queue: Item[] = [];
  #bytes = 0;
  /** Waits for a rendering or for its reader. */
  #isBlocked = false;
  #isClosed = false;
  /** Whether it is in the loop's list. */
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

  /** About how much memory the waiting events take, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether nothing waits, and its reader takes more. */
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

  /** Takes waiting events back. */
  removeWhere(isRemoved: (event: StreamEvent) => boolean): void {
    const removed = this.#queue.filter(({ event }) => isRemoved(event));
    if (removed.length === 0) {
      return;
    }
    this.#queue = this.#queue.filter(({ event }) => !isRemoved(event));
    for (const item of removed) {
      this.#drop(item);
    }
    this.#loop.schedule(this);
  }

  /** Takes back everything that waits, and returns the first of it. */
  clear(): Item | undefined {
    const waiting = this.#queue;
    this.#queue = [];
    for (const item of waiting) {
      this.#drop(item);
    }
    return waiting[0];
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

  /** Has the loop look at it. */
  wake(): void {
    this.#loop.schedule(this);
  }

  shed(): void {
    this.#owner.onShed();
  }

  /** Sends one batch of what waits, as far as it is rendered and the reader takes it. A failure ends this delivery and no other. */
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
      // The right to it may have been lost while it waited or was rendered.
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
      this.#take(queue, sent);
    }
  }

  /** Takes the items that were sent out of the queue. */
  #take(queue: readonly Item[], sent: number): void {
    this.#queue = sent === queue.length ? [] : queue.slice(sent);
    for (let index = 0; index < sent; index += 1) {
      this.#drop(queue[index] as Item);
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

  #drop(item: Item): void {
    this.#bytes -= item.size;
    this.#group.release(item);
  }
}
