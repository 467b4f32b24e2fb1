import { setTimeout as pause } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import type { Position } from './cursor.ts';
import type { Change } from './log.ts';
import type { StreamEvent, Watch } from './watch.ts';

export interface StreamLimits {
  /** How many events may wait for a slow reader. */
  readonly maxEvents: number;
  /** How many bytes of them, about. */
  readonly maxBytes: number;
}

/** How long a reader may take nothing while more goes by than may wait for it, in milliseconds. */
const PATIENCE_MS = 2_000;
/** How often a replay that failed is tried again, and after how long in milliseconds: as long as a database may take to come back. */
const REPLAY_RETRIES = 240;
const RETRY_DELAY_MS = 250;

/** What a stream needs of the feed it belongs to. */
export interface Source {
  /** The changes after `from` that concern these models, up to the present position of the feed. */
  replay(from: Position, models: readonly string[]): Promise<{ changes: readonly Change[]; upTo: Position }>;
  /** Whether changes after `position` have been offered already. */
  isBeyond(position: Position): boolean;
  detach(stream: Stream): void;
}

/**
 * The events of one subscription, to be pulled. It first replays the log from its cursor, reading on only as the reader asks, and
 * goes live in the very turn in which it has caught up with the feed: so nothing falls between, and nothing has to be buffered while it
 * replays. Live events wait in a bounded queue. When that is full, what follows is left in the log, and the stream replays it from there:
 * one write of a hundred thousand rows is no reader's fault. A reader that takes nothing at all for a while, when as much again has gone by, is too
 * slow, and is told `RESYNC_REQUIRED`.
 */
export class Stream implements AsyncIterableIterator<StreamEvent> {
  readonly watch: Watch;
  readonly #source: Source;
  readonly #limits: StreamLimits;
  readonly #onOverflow: () => void;
  #queue: { event: StreamEvent; size: number }[] = [];
  #bytes = 0;
  readonly #startedAfter: number;
  /** Rows that were lost, by what the feed has read, while older changes are replayed. */
  readonly #lost = new Set<number>();
  /** How far it is in the log, while it is not live. */
  #replayedTo: Position | null;
  /** The last change of which it took note while it was live. */
  #noted: Position;
  /** What went by since its queue was full, while its reader took nothing. */
  #left = { events: 0, bytes: 0 };
  #patience: NodeJS.Timeout | null = null;
  #failedReplays = 0;
  #failure: Error | null = null;
  #ended = false;
  #wakeReader: (() => void) | null = null;

  /** Begins at `after`, once it is started. `onOverflow` is called once, when the reader turns out too slow. */
  constructor(source: Source, watch: Watch, after: Position, limits: StreamLimits, onOverflow: () => void) {
    this.#source = source;
    this.watch = watch;
    this.#limits = limits;
    this.#onOverflow = onOverflow;
    this.#startedAfter = after.seq;
    this.#replayedTo = after;
    this.#noted = after;
  }

  /** Goes live when there is nothing to replay. */
  start(): void {
    this.#goLive(this.#noted);
  }

  /** Takes note of a change that the feed has just read. */
  offer(change: Change): void {
    // A cursor from elsewhere may be ahead of what this process has read.
    if (this.#ended || change.seq <= this.#startedAfter) {
      return;
    }
    const event = this.#translate(change);
    if (this.#ended) {
      return;
    }
    if (event && this.#replayedTo) {
      noteLoss(this.#lost, event);
    }
    if (event?.rightLost) {
      this.#queue = this.#queue.filter((waiting) => waiting.event.id !== event.id || waiting.event.row === null);
      this.#bytes = this.#queue.reduce((sum, waiting) => sum + waiting.size, 0);
    }
    if (this.#replayedTo === null) {
      this.#enqueue(event, change);
    } else if (event) {
      this.#leave(change.size);
    }
  }

  /** Takes note of a change of rights before its turn. */
  foresee(change: Change): void {
    if (!this.#ended) {
      this.#obey(this.watch.foresee?.(change));
    }
  }

  /** Ends the stream with an error for its reader; what waits is dropped. */
  fail(error: Error): void {
    if (!this.#ended) {
      this.#failure = error;
      this.#queue = [];
      this.#finish();
    }
  }

  async next(): Promise<IteratorResult<StreamEvent, undefined>> {
    for (;;) {
      const waiting = this.#queue.shift();
      if (waiting) {
        this.#bytes -= waiting.size;
        this.#waitOn();
        // Rights are those of the moment of sending, and something may have happened while the event waited.
        if (this.watch.mayStillSend(waiting.event)) {
          return { done: false, value: waiting.event };
        }
      } else if (this.#failure) {
        const failure = this.#failure;
        this.#failure = null;
        throw failure;
      } else if (this.#ended) {
        return { done: true, value: undefined };
      } else if (this.#replayedTo) {
        await this.#tryReplay(this.#replayedTo);
      } else {
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve;
        });
      }
    }
  }

  async return(): Promise<IteratorResult<StreamEvent, undefined>> {
    this.#queue = [];
    this.#failure = null;
    this.#finish();
    return { done: true, value: undefined };
  }

  async throw(error: Error): Promise<IteratorResult<StreamEvent, undefined>> {
    this.fail(error);
    return this.next();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #tryReplay(from: Position): Promise<void> {
    try {
      await this.#replayMore(from);
      this.#failedReplays = 0;
    } catch (error) {
      this.#failedReplays += 1;
      if (error instanceof AppError || this.#failedReplays > REPLAY_RETRIES) {
        this.fail(error as Error);
      } else {
        await pause(RETRY_DELAY_MS, undefined, { ref: false });
      }
    }
  }

  async #replayMore(from: Position): Promise<void> {
    // Its reader waits for it, however long the search takes.
    this.#waitOn();
    const { changes, upTo } = await this.#source.replay(from, this.watch.models);
    if (this.#ended) {
      return;
    }
    const events: { event: StreamEvent; size: number }[] = [];
    const lost = new Set<number>();
    for (const change of changes) {
      const event = this.#translate(change);
      if (this.#ended) {
        return;
      }
      if (event) {
        noteLoss(lost, event);
        events.push({ event, size: change.size });
      }
    }
    const rows = events.flatMap(({ event }) => (event.row ? [event.id] : []));
    const hidden = rows.length > 0 ? await this.watch.hiddenNow([...new Set(rows)]) : NOTHING;
    if (this.#ended) {
      return;
    }
    const isHidden = ({ id, row }: StreamEvent): boolean =>
      row !== null && (hidden.has(id) || lost.has(id) || this.#lost.has(id));
    for (const { event, size } of events) {
      if (!this.#ended && !isHidden(event)) {
        this.#append(event, size);
      }
    }
    this.#goLive(upTo);
  }

  #goLive(position: Position): void {
    if (this.#ended) {
      return;
    }
    this.#replayedTo = this.#source.isBeyond(position) ? position : null;
    this.#noted = position;
    if (this.#replayedTo) {
      return;
    }
    this.#lost.clear();
    if (this.watch.finite) {
      this.#finish();
    }
  }

  /** What a change means to the watch, once ends and failures are taken care of. */
  #translate(change: Change): StreamEvent | null {
    const outcome = this.watch.translate(change);
    if (outcome === 'resync' || outcome === 'end') {
      this.#obey(outcome);
      return null;
    }
    return outcome;
  }

  #obey(order: 'resync' | 'end' | null | undefined): void {
    if (order === 'resync') {
      this.fail(new AppError('RESYNC_REQUIRED'));
    } else if (order === 'end') {
      this.#queue = [];
      this.#finish();
    }
  }

  #enqueue(event: StreamEvent | null, { seq, at, size }: Change): void {
    if (event && this.#queue.length > 0 && this.#isFull(this.#queue.length + 1, this.#bytes + size)) {
      this.#replayedTo = this.#noted;
      this.#leave(size);
      return;
    }
    this.#noted = { seq, at };
    if (event) {
      this.#append(event, size);
    }
  }

  /** Leaves an event in the log, to be read again when the reader has taken what waits. */
  #leave(size: number): void {
    this.#left = { events: this.#left.events + 1, bytes: this.#left.bytes + size };
    if (this.#isFull(this.#left.events, this.#left.bytes)) {
      this.#patience ??= setTimeout(() => {
        this.fail(new AppError('RESYNC_REQUIRED'));
        this.#onOverflow();
      }, PATIENCE_MS).unref();
    }
  }

  /** The reader takes something, and so is not too slow. */
  #waitOn(): void {
    this.#left = { events: 0, bytes: 0 };
    if (this.#patience) {
      clearTimeout(this.#patience);
      this.#patience = null;
    }
  }

  #isFull(events: number, bytes: number): boolean {
    return events > this.#limits.maxEvents || bytes > this.#limits.maxBytes;
  }

  #append(event: StreamEvent, size: number): void {
    this.#queue.push({ event, size });
    this.#bytes += size;
    if (event.last) {
      this.#finish();
    } else {
      this.#wake();
    }
  }

  #finish(): void {
    this.#ended = true;
    this.#waitOn();
    this.#source.detach(this);
    this.#wake();
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = null;
    wake?.();
  }
}

const NOTHING: ReadonlySet<number> = new Set();

/** Keeps the rows that the viewer lost the right to see and has not got back since; they may be gone altogether by now. */
function noteLoss(lost: Set<number>, { id, row, rightLost }: StreamEvent): void {
  if (rightLost) {
    lost.add(id);
  } else if (row !== null) {
    lost.delete(id);
  }
}
