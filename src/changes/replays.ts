import { AppError } from '../errors.ts';
import { type Change, UnreadableChangeError } from './change.ts';
import type { LogPosition } from './cursor.ts';
import type { Interest } from './filter.ts';
import type { ChangeLog, ReadLimits, ReplayBatch, ReplaySelection } from './log.ts';
import { Segments } from './segments.ts';
import type { Stream } from './stream.ts';

/** How much one stream reads in its turn: little enough that requests hardly notice. */
const TURN: ReadLimits = { rows: 250, bytes: 512 * 1024 };
/** How often a read that failed is tried again, and after which pause in milliseconds: as long as a database may take to come back. */
const MAX_RETRIES = 240;
const RETRY_DELAY_MS = 250;

/**
 * Lets streams catch up with the log: a few at a time, a batch each in turn, so that live events, requests and new connections get theirs. Streams
 * that read the same changes share the reading of them.
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
  /** How many batches were read, and how many of them another stream had read before. */
  readonly counts = { batches: 0, shared: 0 };

  /** `until` is the position up to which the log can be read; `onUnreadable` is called for a change that one of them came to. */
  constructor(log: ChangeLog, until: () => LogPosition, onUnreadable: (change: Change, stream: Stream) => void) {
    this.#log = log;
    this.#until = until;
    this.#onUnreadable = onUnreadable;
  }

  /** How many streams wait for their turn, or read. */
  get size(): number {
    return this.#queue.length + this.#running;
  }

  /** Gives the stream a turn. */
  request(stream: Stream): void {
    if (!this.#queued.has(stream)) {
      this.#queued.add(stream);
      this.#queue.push(stream);
      this.#schedule();
    }
  }

  /** Forgets what was read: the log is another one. */
  clear(): void {
    this.#segments.clear();
  }

  #schedule(): void {
    if (!this.#isScheduled && this.#queue.length > 0 && this.#running < this.#log.replayConcurrency) {
      this.#isScheduled = true;
      // A turn of the event loop for each: reads of SQLite would keep everybody else waiting.
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
    const known = this.#segments.find(key, from);
    if (known) {
      this.counts.shared += 1;
      return known;
    }
    const until = this.#until();
    if (interests.length === 0) {
      return { changes: [], upTo: until };
    }
    const batch = await this.#log.replay(selectionOf(interests), { from, until }, TURN);
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
