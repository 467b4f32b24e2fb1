import { AppError } from '../errors.ts';
import type { Change } from './change.ts';
import type { LogPosition } from './cursor.ts';
import { Delivery, type EventStream, type Sink, type StreamEnd } from './delivery.ts';
import type { DeliveryLoop } from './delivery-loop.ts';
import type { ChangeEvent, SubscriptionFilter } from './filter.ts';
import type { Item } from './result.ts';
import type { Renderer, ResultGroup } from './results.ts';

export interface StreamLimits {
  /** How many events may wait for a slow reader. */
  readonly maxEvents: number;
  /** How many bytes of them, about. */
  readonly maxBytes: number;
}

/** How long a reader may take nothing while more passes than may wait for it, in milliseconds. */
const STALL_TIMEOUT_MS = 2_000;

/** What a stream needs of the feed that it belongs to. */
export interface StreamSource {
  readonly limits: StreamLimits;
  readonly loop: DeliveryLoop;
  /** The position up to which every change was offered to the streams that are live. */
  readonly position: LogPosition;
  /** Offers the events of all changes from now on, to be pushed to a live stream and passed to one that catches up. */
  attach(stream: Stream): void;
  /** Forgets a stream that has ended. */
  detach(stream: Stream): void;
  /** Takes note that an attached stream is live now, or catches up again. */
  setLive(stream: Stream, isLive: boolean): void;
  /** Reads the next batch from the log for the stream, in its turn. */
  requestReplay(stream: Stream): void;
}

/** What passed a reader that took nothing, since its queue was full. */
interface Passed {
  events: number;
  bytes: number;
}

/**
 * One subscription to changes. It first catches up from its position, batch by batch as its reader takes them, and goes live in the
 * turn in which it has reached the feed: so nothing falls between, and nothing has to be buffered while it catches up. Live events wait in a
 * bounded queue. When that is full, or the process holds too much, what follows is left in the log and read from there later: one write of a hundred
 * thousand rows is no reader's fault. A reader that takes nothing for a while, while as much again passes, is too slow and ends with `RESYNC_REQUIRED`.
 */
export class Stream implements EventStream {
  readonly filter: SubscriptionFilter;
  readonly #source: StreamSource;
  /** Changes up to here are not taken from the feed: the subscription began after them, or has read them from the log. */
  #startsAfter: number;
  /** How far it is in the log while it catches up; null when it is live. */
  #readTo: LogPosition | null;
  /** The position of the last event that was sent. */
  #sentTo: LogPosition;
  #delivery: Delivery | null = null;
  #isReading = false;
  #ended: StreamEnd | null = null;
  /** Rows to which the viewer lost the right, by what the feed has read, while older changes are replayed. */
  readonly #lostRows = new Set<number>();
  readonly #passed: Passed = { events: 0, bytes: 0 };
  #stallTimer: NodeJS.Timeout | null = null;
  #onEnded: () => void = () => undefined;

  /** Begins after a position, once it is started. */
  constructor(source: StreamSource, filter: SubscriptionFilter, after: LogPosition) {
    this.#source = source;
    this.filter = filter;
    this.#startsAfter = after.seq;
    this.#readTo = after;
    this.#sentTo = after;
  }

  get isLive(): boolean {
    return this.#readTo === null;
  }

  /** The subscriptions that it shares its results with, once it is started. */
  get group(): ResultGroup | null {
    return this.#delivery?.group ?? null;
  }

  /** Starts to send events to the sink, each with the text that the renderer makes. */
  start(renderer: Renderer, sink: Sink): void {
    if (this.#ended) {
      sink.end(this.#ended);
      return;
    }
    const { filter } = this;
    this.#delivery = new Delivery(
      this.#source.loop,
      {
        viewer: filter.viewer,
        mayReceive: (event) => filter.mayReceive(event as ChangeEvent),
        onProgress: ({ position }) => {
          this.#sentTo = position;
          this.#resetStall();
        },
        onDrained: () => this.#onDrained(),
        onLast: () => this.end({ kind: 'complete' }),
        onFailure: (error) => this.fail(error),
        onShed: () => this.#leaveToLog(this.#delivery?.clear()?.previous),
      },
      this.#source.loop.results.group(renderer),
      sink,
    );
    this.#delivery.group.beginCatchingUp();
    this.#source.attach(this);
    this.#onReadTo(this.#readTo ?? this.#source.position);
  }

  /** Takes an event that the feed has just read, while the stream is live. */
  push(item: Item): void {
    const delivery = this.#delivery;
    if (!delivery || item.position.seq <= this.#startsAfter) {
      return;
    }
    this.#takeBackLost(delivery, item.event as ChangeEvent);
    if (delivery.length > 0 && this.#isOver(delivery.length + 1, delivery.bytes + item.size)) {
      this.#leaveToLog(item.previous);
      this.#countPassed(item.size);
    } else {
      delivery.push(item);
    }
  }

  /** Takes note of an event that the feed has just read, while the stream catches up and will come to it later. */
  pass(event: ChangeEvent, size: number): void {
    if (event.isRightLost) {
      this.#lostRows.add(event.id);
    } else if (event.row !== null) {
      this.#lostRows.delete(event.id);
    }
    if (this.#delivery) {
      this.#takeBackLost(this.#delivery, event);
    }
    this.#countPassed(size);
  }

  /** Applies a change that decides about access, as soon as it is committed; null for one that cannot be read. */
  onAccessChange(change: Change | null): void {
    const { barrier, isBarrier } = this.filter;
    if (change === null || (change.model === barrier?.model && isBarrier?.(change))) {
      this.fail(new AppError('RESYNC_REQUIRED'));
    } else {
      this.checkAccess();
    }
  }

  /** Ends the stream when its viewer has no access to it at present. */
  checkAccess(): void {
    if (!this.#ended && !this.filter.hasAccess()) {
      this.end({ kind: 'complete' });
    }
  }

  /** Whether it wants to read on from the log now: it is behind, and its reader has taken what was read before. */
  get wantsReplay(): boolean {
    return !this.#ended && this.#readTo !== null && !this.#isReading && this.#delivery?.isIdle === true;
  }

  /** Reads on from the log with the given function. */
  async replay(read: (from: LogPosition) => Promise<{ changes: readonly Change[]; upTo: LogPosition }>): Promise<void> {
    const from = this.#readTo;
    if (from === null || this.#ended) {
      return;
    }
    this.#isReading = true;
    try {
      // The reader waits for the stream meanwhile, however long the search takes.
      this.#resetStall();
      const { changes, upTo } = await read(from);
      await this.#take(changes, upTo);
    } finally {
      this.#isReading = false;
    }
    this.#readOn();
  }

  /** Ends the stream with an error; what waits is dropped. */
  fail(error: Error, isTooSlow = false): void {
    this.end({ kind: 'error', error, isTooSlow });
  }

  end(end: StreamEnd): void {
    if (this.#ended) {
      return;
    }
    this.#ended = end;
    this.#resetStall();
    this.#source.detach(this);
    if (this.#readTo !== null) {
      this.#delivery?.group.endCatchingUp();
    }
    this.filter.release();
    this.#onEnded();
    this.#delivery?.close(end);
  }

  /** Ends the stream since nobody wants it any more. */
  close(): void {
    this.end({ kind: 'complete' });
  }

  onceEnded(callback: () => void): void {
    if (this.#ended) {
      callback();
    } else {
      this.#onEnded = callback;
    }
  }

  async #take(changes: readonly Change[], upTo: LogPosition): Promise<void> {
    const found: { event: ChangeEvent; change: Change; previous: LogPosition }[] = [];
    const lost = new Set<number>();
    let previous = this.#readTo ?? upTo;
    for (const change of changes) {
      const event = change.seq > this.#startsAfter ? eventOf(change, this.filter) : null;
      if (event) {
        if (event.isRightLost) {
          lost.add(event.id);
        } else if (event.row !== null) {
          lost.delete(event.id);
        }
        found.push({ event, change, previous });
      }
      previous = change;
    }
    const hidden = await this.#hiddenNow(found.map(({ event }) => event));
    const delivery = this.#delivery;
    if (this.#ended || !delivery) {
      return;
    }
    const isHidden = ({ id, row }: ChangeEvent): boolean =>
      row !== null && (hidden.has(id) || lost.has(id) || this.#lostRows.has(id));
    for (const { event, change, previous } of found) {
      if (!isHidden(event)) {
        delivery.push(delivery.group.item(event, { position: change, previous, size: change.size }));
      }
      if (event.isLast) {
        break;
      }
    }
    this.#onReadTo(upTo);
  }

  async #hiddenNow(events: readonly ChangeEvent[]): Promise<ReadonlySet<number>> {
    const ids = events.flatMap(({ id, row }) => (row === null ? [] : [id]));
    return ids.length === 0 || !this.filter.hiddenNow ? NO_ROWS : this.filter.hiddenNow([...new Set(ids)]);
  }

  /** Goes live where there is nothing left to read, in the same turn in which that is known. */
  #onReadTo(position: LogPosition): void {
    if (position.seq < this.#source.position.seq) {
      this.#readTo = position;
      this.#readOn();
      return;
    }
    this.#readTo = null;
    // A feed that is behind comes to changes later that were read from the log already.
    this.#startsAfter = Math.max(this.#startsAfter, position.seq);
    this.#lostRows.clear();
    this.#source.setLive(this, true);
    this.#delivery?.group.endCatchingUp();
    this.#delivery?.wake();
  }

  #onDrained(): void {
    if (this.#readTo === null && this.filter.endsWhenCaughtUp) {
      this.end({ kind: 'complete' });
    } else {
      this.#readOn();
    }
  }

  /** Reads on from the log, if it is behind and its reader takes more. */
  #readOn(): void {
    if (this.wantsReplay) {
      this.#source.requestReplay(this);
    }
  }

  /** Reads from the log again what follows a position, once its reader has taken what waits. */
  #leaveToLog(position: LogPosition | undefined): void {
    if (!position || this.#ended) {
      return;
    }
    const wasLive = this.#readTo === null;
    // What another stream of the group had read before the item may lie before what this one has sent.
    this.#readTo = position.seq < this.#sentTo.seq ? this.#sentTo : position;
    if (wasLive) {
      this.#source.setLive(this, false);
      this.#delivery?.group.beginCatchingUp();
    }
    this.#delivery?.wake();
  }

  #takeBackLost(delivery: Delivery, { id, isRightLost }: ChangeEvent): void {
    if (isRightLost) {
      delivery.removeWhere((event) => {
        const waiting = event as ChangeEvent;
        return waiting.id === id && waiting.row !== null;
      });
    }
  }

  #countPassed(bytes: number): void {
    this.#passed.events += 1;
    this.#passed.bytes += bytes;
    if (this.#isOver(this.#passed.events, this.#passed.bytes)) {
      this.#stallTimer ??= setTimeout(() => this.fail(new AppError('RESYNC_REQUIRED'), true), STALL_TIMEOUT_MS).unref();
    }
  }

  /** The reader takes something, and so is not too slow. */
  #resetStall(): void {
    this.#passed.events = 0;
    this.#passed.bytes = 0;
    if (this.#stallTimer) {
      clearTimeout(this.#stallTimer);
      this.#stallTimer = null;
    }
  }

  #isOver(events: number, bytes: number): boolean {
    const { maxEvents, maxBytes } = this.#source.limits;
    return events > maxEvents || bytes > maxBytes;
  }
}

const NO_ROWS: ReadonlySet<number> = new Set();

/** The events that filters with a key have made of changes, which streams that catch up together share. */
const eventsOf = new WeakMap<Change, { readonly key: string; readonly event: ChangeEvent | null }>();

function eventOf(change: Change, filter: SubscriptionFilter): ChangeEvent | null {
  const { key } = filter;
  if (key === null) {
    return filter.toEvent(change);
  }
  const known = eventsOf.get(change);
  if (known?.key === key) {
    return known.event;
  }
  const event = filter.toEvent(change);
  eventsOf.set(change, { key, event });
  return event;
}
