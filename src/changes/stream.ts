import { AppError } from '../errors.ts';
import type { Change } from './change.ts';
import type { LogPosition } from './cursor.ts';
import { Delivery, type EventStream, type Sink, type StreamEnd } from './delivery.ts';
import type { DeliveryLoop } from './delivery-loop.ts';
import type { ChangeEvent, SubscriptionFilter } from './filter.ts';
import type { ReplayBatch } from './log.ts';
import { findHiddenEvents, replayedEvents, trackRevoked } from './replayed-events.ts';
import type { Item } from './result.ts';
import type { Renderer, ResultGroup } from './results.ts';
import { exceedsLimits, StallDetector, type StreamLimits } from './stream-limits.ts';

/** The part of the feed that a stream uses. */
export interface StreamSource {
  readonly limits: StreamLimits;
  readonly loop: DeliveryLoop;
  /** The position up to which every change was dispatched to the live streams. */
  readonly position: LogPosition;
  /** Dispatches the events of all later changes to the stream: {@link Stream.push} while it is live, {@link Stream.skip} while it catches up. */
  attach(stream: Stream): void;
  /** Stops dispatching to a stream that has ended. */
  detach(stream: Stream): void;
  /** Records whether an attached stream is live or catches up. */
  setLive(stream: Stream, isLive: boolean): void;
  /** Queues the stream for reading its next batch from the log. */
  requestReplay(stream: Stream): void;
}

/**
 * One subscription to changes. It first catches up from its position, batch by batch as its reader takes them, and goes live in the same turn of the event
 * loop in which it reaches the feed's position, so that no change is lost between the two and nothing is buffered while it catches up. Live events wait in a
 * bounded queue. When the queue is full, or the process sheds load, later events stay in the log and are read from there, so that one write of a
 * hundred thousand rows does not end a subscription. A reader that takes nothing for a while, while as many events again are skipped, is too slow: its
 * stream ends with `RESYNC_REQUIRED`.
 */
export class Stream implements EventStream {
  readonly filter: SubscriptionFilter;
  readonly #source: StreamSource;
  readonly #stall: StallDetector;
  /** Changes up to this number are not taken from the feed: the subscription began after them, or has read them from the log. */
  #startsAfter: number;
  /** The position up to which it has read the log while it catches up; null while it is live. */
  #replayedTo: LogPosition | null;
  /** The position of the last event that was sent. */
  #sentTo: LogPosition;
  #delivery: Delivery | null = null;
  #isReading = false;
  #ended: StreamEnd | null = null;
  /** Rows that the feed has already reported as revoked while older changes are replayed. */
  readonly #revokedRows = new Set<number>();
  #onEnded: (end: StreamEnd) => void = () => undefined;

  /** The stream begins after the position `after`, once it is started. */
  constructor(source: StreamSource, filter: SubscriptionFilter, after: LogPosition) {
    this.#source = source;
    this.filter = filter;
    this.#stall = new StallDetector(source.limits, () => this.fail(new AppError('RESYNC_REQUIRED'), true));
    this.#startsAfter = after.seq;
    this.#replayedTo = after;
    this.#sentTo = after;
  }

  get isLive(): boolean {
    return this.#replayedTo === null;
  }

  /** The subscriptions with which it shares results; null before it is started. */
  get group(): ResultGroup | null {
    return this.#delivery?.group ?? null;
  }

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
          this.#stall.reset();
        },
        onDrained: () => this.#onDrained(),
        onLast: () => this.end({ kind: 'complete' }),
        onFailure: (error) => this.fail(error),
        onShed: () => this.#skipToLog(this.#delivery?.clear()?.previous),
      },
      this.#source.loop.results.group(renderer),
      sink,
    );
    this.#delivery.group.beginCatchingUp();
    this.#source.attach(this);
    this.#onReplayedTo(this.#replayedTo ?? this.#source.position);
  }

  /** Queues an event that the feed has just read; called while the stream is live. */
  push(item: Item): void {
    const delivery = this.#delivery;
    if (!delivery || item.position.seq <= this.#startsAfter) {
      return;
    }
    this.#withdraw(delivery, item.event as ChangeEvent);
    const { limits } = this.#source;
    if (delivery.length > 0 && exceedsLimits(limits, delivery.length + 1, delivery.bytes + item.size)) {
      this.#skipToLog(item.previous);
      this.#stall.countSkipped(item.size);
    } else {
      delivery.push(item);
    }
  }

  /** Records an event that the feed has just read; called while the stream catches up, which replays the event later. */
  skip(event: ChangeEvent, size: number): void {
    trackRevoked(this.#revokedRows, event);
    if (this.#delivery) {
      this.#withdraw(this.#delivery, event);
    }
    this.#stall.countSkipped(size);
  }

  /** Applies an access change as soon as it is committed; null stands for a change that cannot be read. */
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

  /** Whether the stream should read the log now: it is behind, and its reader has taken the events that were read before. */
  get wantsReplay(): boolean {
    return !this.#ended && this.#replayedTo !== null && !this.#isReading && this.#delivery?.isIdle === true;
  }

  /** Queues the next batch that the function reads from the log. */
  async replay(read: (from: LogPosition) => Promise<ReplayBatch>): Promise<void> {
    const from = this.#replayedTo;
    if (from === null || this.#ended) {
      return;
    }
    this.#isReading = true;
    try {
      // While the log is read, the reader waits for the stream and not the other way round.
      this.#stall.reset();
      await this.#enqueueReplayed(await read(from));
    } finally {
      this.#isReading = false;
    }
    this.#requestReplay();
  }

  /** Ends the stream with an error; queued events are dropped. */
  fail(error: Error, isTooSlow = false): void {
    this.end({ kind: 'error', error, isTooSlow });
  }

  end(end: StreamEnd): void {
    if (this.#ended) {
      return;
    }
    this.#ended = end;
    this.#stall.reset();
    this.#source.detach(this);
    if (this.#replayedTo !== null) {
      this.#delivery?.group.endCatchingUp();
    }
    this.filter.release();
    this.#onEnded(end);
    this.#delivery?.close(end);
  }

  close(): void {
    this.end({ kind: 'complete' });
  }

  onceEnded(callback: (end: StreamEnd) => void): void {
    if (this.#ended) {
      callback(this.#ended);
    } else {
      this.#onEnded = callback;
    }
  }

  async #enqueueReplayed({ changes, upTo }: ReplayBatch): Promise<void> {
    const { events, revoked } = replayedEvents(changes, this.filter, this.#replayedTo ?? upTo, this.#startsAfter);
    const hidden = await findHiddenEvents(this.filter, events);
    const delivery = this.#delivery;
    if (this.#ended || !delivery) {
      return;
    }
    const isHidden = (event: ChangeEvent): boolean =>
      hidden.has(event) || (event.row !== null && (revoked.has(event.id) || this.#revokedRows.has(event.id)));
    for (const { event, change, previous } of events) {
      if (!isHidden(event)) {
        delivery.push(delivery.group.item(event, { position: change, previous, size: change.size }));
      }
      if (event.isLast) {
        break;
      }
    }
    this.#onReplayedTo(upTo);
  }

  /** Goes live when the position is that of the feed, in the same turn of the event loop; continues the replay otherwise. */
  #onReplayedTo(position: LogPosition): void {
    if (position.seq < this.#source.position.seq) {
      this.#replayedTo = position;
      this.#requestReplay();
      return;
    }
    this.#replayedTo = null;
    // A feed that lags behind the log still dispatches changes that the replay has already delivered.
    this.#startsAfter = Math.max(this.#startsAfter, position.seq);
    this.#revokedRows.clear();
    this.#source.setLive(this, true);
    this.#delivery?.group.endCatchingUp();
    this.#delivery?.wake();
  }

  #onDrained(): void {
    if (this.#replayedTo === null && this.filter.endsWhenCaughtUp) {
      this.end({ kind: 'complete' });
    } else {
      this.#requestReplay();
    }
  }

  #requestReplay(): void {
    if (this.wantsReplay) {
      this.#source.requestReplay(this);
    }
  }

  /** Leaves the events after a position in the log, to be replayed once the reader has taken the queued ones. */
  #skipToLog(position: LogPosition | undefined): void {
    if (!position || this.#ended) {
      return;
    }
    const wasLive = this.#replayedTo === null;
    // An item carries the position that the first stream of its group had read, which may lie before the last event sent here.
    this.#replayedTo = position.seq < this.#sentTo.seq ? this.#sentTo : position;
    if (wasLive) {
      this.#source.setLive(this, false);
      this.#delivery?.group.beginCatchingUp();
    }
    this.#delivery?.wake();
  }

  /** Removes the queued events of a row that the viewer may no longer see, or of which they show what was removed. */
  #withdraw(delivery: Delivery, { id, part, isRevoked, isRetraction }: ChangeEvent): void {
    if (isRevoked || isRetraction) {
      delivery.removeWhere((event) => {
        const queued = event as ChangeEvent;
        return queued.id === id && queued.row !== null && (isRevoked || queued.part === part);
      });
    }
  }
}
