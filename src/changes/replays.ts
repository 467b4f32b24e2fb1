import { AppError } from '../errors.ts';
import { type Change, UnreadableChangeError } from './change.ts';
import type { LogPosition } from './cursor.ts';
import type { Interest } from './filter.ts';
import type { ChangeLog, ReadLimits, ReplayBatch, ReplaySelection } from './log.ts';
import { Segments } from './segments.ts';
import type { Stream } from './stream.ts';

/** The limits of one batch of a stream, small enough that it hardly delays requests. */
const BATCH_LIMITS: ReadLimits = { rows: 250, bytes: 512 * 1024 };
/** The number of retries of a failed read and the delay between them in milliseconds; together they outlast a restart of the database. */
const MAX_RETRIES = 240;
const RETRY_DELAY_MS = 250;

/**
 * The queue of streams that catch up with the log. A few streams read at a time, one batch each in turn, so that live events, requests and new connections
 * are not blocked. Streams that need the same changes share one read of them.
 */
export class Replays {
  readonly #log: ChangeLog;
  readonly #until: () => LogPosition;
  readonly #onUnreadable: (change: Change, stream: Stream) => void;
  readonly #queue: Stream[] = [];
  readonly #queued = new Set<Stream>();
  readonly #retries = new WeakMap<Stream, number>();
  readonly #segments = new Segments();
  #running = 0;
  #isScheduled = false;
  /** The number of batches that streams took, and how many of them another stream had read before. */
  readonly counts = { batches: 0, shared: 0 };

  /** `until` returns the position up to which the log can be read; `onUnreadable` is called for an unreadable change that a stream has reached. */
  constructor(log: ChangeLog, until: () => LogPosition, onUnreadable: (change: Change, stream: Stream) => void) {
    this.#log = log;
    this.#until = until;
    this.#onUnreadable = onUnreadable;
  }

  /** The number of streams that are queued or read. */
  get size(): number {
    return this.#queue.length + this.#running;
  }

  /** Queues the stream for its next batch. */
  request(stream: Stream): void {
    if (!this.#queued.has(stream)) {
      this.#queued.add(stream);
      this.#queue.push(stream);
      this.#schedule();
    }
  }

  /** Clears the batches that were read, since the log is another one. */
  clear(): void {
    this.#segments.clear();
  }

  #schedule(): void {
    if (!this.#isScheduled && this.#queue.length > 0 && this.#running < this.#log.replayConcurrency) {
      this.#isScheduled = true;
      // A turn of the event loop for each read, since reads of SQLite block the process.
      setImmediate(() => {
        this.#isScheduled = false;
        const stream = this.#queue.shift();
        if (stream) {
          this.#queued.delete(stream);
          this.#run(stream);
          this.#schedule();
        }
      });
    }
  }

  async #run(stream: Stream): Promise<void> {
    if (!stream.wantsReplay) {
      return;
    }
    this.#running += 1;
    try {
      await stream.replay((from) => this.#read(stream, from));
      this.#retries.delete(stream);
    } catch (error) {
      this.#onFailure(stream, error);
    } finally {
      this.#running -= 1;
      this.#schedule();
    }
  }

  #onFailure(stream: Stream, error: unknown): void {
    if (error instanceof UnreadableChangeError) {
      this.#onUnreadable(error.change, stream);
      return;
    }
    const failures = (this.#retries.get(stream) ?? 0) + 1;
    this.#retries.set(stream, failures);
    if (error instanceof AppError || failures > MAX_RETRIES) {
      stream.fail(error as Error);
    } else {
      setTimeout(() => this.request(stream), RETRY_DELAY_MS).unref();
    }
  }

  async #read(stream: Stream, from: LogPosition): Promise<ReplayBatch> {
    this.counts.batches += 1;
    const interests = stream.filter.interests();
    const key = keyOf(interests);
    const cached = this.#segments.find(key, from);
    if (cached) {
      this.counts.shared += 1;
      return cached;
    }
    const until = this.#until();
    if (interests.length === 0) {
      return { changes: [], upTo: until };
    }
    const batch = await this.#log.replay(selectionOf(interests), { from, until }, BATCH_LIMITS);
    this.#segments.add(key, from, batch);
    return batch;
  }
}

function selectionOf(interests: readonly Interest[]): ReplaySelection {
  const models = new Set<string>();
  const scoped = new Map<string, { model: string; scope: string }>();
  for (const { model, scope } of interests) {
    if (scope === null) {
      models.add(model);
    } else {
      scoped.set(`${model} ${scope}`, { model, scope });
    }
  }
  return models.size > 0 ? { models: [...models] } : { scoped: [...scoped.values()] };
}

function keyOf(interests: readonly Interest[]): string {
  return interests.map(({ model, scope }) => `${model} ${scope}`).join('\n');
}
