import { AppError } from '../errors.ts';
import type { Change } from './change.ts';
import { encodeLogCursor, type LogPosition } from './cursor.ts';
import { FeedLag, type FeedReports } from './feed-lag.ts';
import type { ChangeLog, Poll, ReadLimits } from './log.ts';
import type { Memberships } from './memberships.ts';
import { Refreshes } from './refreshes.ts';

/** How much one poll reads. */
const LIMITS: ReadLimits = { rows: 500, bytes: 1024 * 1024 };
/** After how long a poll that failed is tried again, in milliseconds. */
const RETRY_DELAY_MS = 250;
/** How long ago the log may last have been looked at for access changes to count as known, in milliseconds: some times the longest interval. */
const CURRENT_MS = 1_000;

/** Who deals with what a poll has read. */
export interface PollHandler {
  readonly memberships: Memberships;
  /** Whether somebody here needs the images of a change. */
  needsImages(change: Change): boolean;
  /** Applies changes that decide about access, whatever lies before them in the log. */
  onAccessChanges(changes: readonly Change[]): void;
  /** Called before the changes of a poll. */
  onBegin(): void;
  /** Takes the next change; `previous` is the position before it. */
  onChange(change: Change, previous: LogPosition): void;
  /** Called after the changes of a poll, with the models that they are of. */
  onEnd(models: ReadonlySet<string>): void;
  /** The log is another one, or changes of it are gone that this process has not read. */
  onLoss(): void;
}

/** Polls the log whenever something may have been committed, one poll at a time. */
export class LogPoller {
  readonly lag: FeedLag;
  readonly #log: ChangeLog;
  readonly #handler: PollHandler;
  readonly #reports: FeedReports;
  readonly #refreshes = new Refreshes();
  #position: LogPosition;
  #head: LogPosition;
  #cursor: string;
  #polling: Promise<void> | null = null;
  #polledAt = 0;
  /** When it was last known that every access change of the log was read. */
  #currentAt = Number.NEGATIVE_INFINITY;
  #isWoken = false;
  #isScheduled = false;
  #isClosed = false;

  constructor(log: ChangeLog, position: LogPosition, handler: PollHandler, reports: FeedReports) {
    this.#log = log;
    this.#handler = handler;
    this.#reports = reports;
    this.#position = position;
    this.#head = position;
    this.#cursor = encodeLogCursor(log.epoch, position);
    this.lag = new FeedLag(log, reports);
    log.onWake(
      () => this.wake(),
      () => this.#confirmUnchanged(),
    );
    // What was committed since the position was read and before the log is watched.
    this.wake();
  }

  /** The position up to which every change was handled. */
  get position(): LogPosition {
    return this.#position;
  }

  /** The newest position that the last poll saw: the log can be read up to here, whether or not that was handled. */
  get head(): LogPosition {
    return this.#head.seq > this.#position.seq ? this.#head : this.#position;
  }

  /** Whether every access change was read that was committed more than a moment ago. */
  get isCurrent(): boolean {
    return performance.now() - this.#currentAt < CURRENT_MS;
  }

  /** The position up to which every change was handled, as clients receive it. */
  get cursor(): string {
    return this.#cursor;
  }

  /** Says that something may have been committed; the log is polled soon, once however often this is called meanwhile. */
  wake(): void {
    this.#isWoken = true;
    this.#schedule();
  }

  /** Waits for a poll that begins after this call; returns the newest position that it saw. */
  refresh(): Promise<LogPosition> {
    const refreshed = this.#refreshes.add();
    this.wake();
    return refreshed;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#refreshes.reject(new Error('The server is closing.'));
    await this.#polling;
    await this.#log.close();
  }

  /** Nobody has written since the last poll began, which is as good as another one. */
  #confirmUnchanged(): void {
    if (!this.#isWoken && !this.#isScheduled && !this.#polling && this.lag.failingMs === 0) {
      this.#currentAt = performance.now();
    }
  }

  #schedule(): void {
    if (this.#isScheduled || this.#polling || this.#isClosed) {
      return;
    }
    this.#isScheduled = true;
    const start = (): void => {
      this.#isScheduled = false;
      this.#polling = this.#run().finally(() => {
        this.#polling = null;
        if (this.#isWoken) {
          this.#schedule();
        }
      });
    };
    const wait = this.#polledAt + this.#log.minPollIntervalMs - performance.now();
    if (wait > 0) {
      setTimeout(start, wait);
    } else {
      // A new turn of the event loop, so that a long log does not keep sockets waiting.
      setImmediate(start);
    }
  }

  async #run(): Promise<void> {
    if (this.#isClosed) {
      return;
    }
    this.#isWoken = false;
    const polledAt = performance.now();
    this.#polledAt = polledAt;
    const { memberships } = this.#handler;
    const refreshes = this.#refreshes.take();
    const loads = memberships.takeLoads();
    try {
      const poll = await this.#log.poll({
        after: this.#position,
        limits: LIMITS,
        needsImages: (change) => this.#handler.needsImages(change),
        loads,
      });
      this.#handler.onAccessChanges(poll.accessChanges);
      if (poll.hasMoreAccessChanges) {
        memberships.putBack(loads);
        refreshes.putBack();
        this.wake();
        return;
      }
      this.#currentAt = polledAt;
      this.#head = poll.head;
      memberships.loaded(loads, poll.memberships);
      refreshes.resolve(poll.head);
      await this.#handle(poll);
      this.lag.note(poll);
      if (poll.upTo.seq < poll.head.seq) {
        this.wake();
      }
    } catch (error) {
      this.#currentAt = Number.NEGATIVE_INFINITY;
      memberships.putBack(loads);
      refreshes.putBack();
      await this.#onFailure(error);
    }
  }

  /** Handles the changes of a poll without giving way: nobody can subscribe between two of them. */
  async #handle({ changes, upTo }: Poll): Promise<void> {
    // A subscription may have been started since the poll asked whose images somebody needs.
    for (let missing = this.#missingImages(changes); missing.length > 0; missing = this.#missingImages(changes)) {
      await this.#log.loadImages(missing);
    }
    this.#handler.onBegin();
    const models = new Set<string>();
    for (const change of changes) {
      const previous = this.#position;
      this.#position = change;
      this.#handler.onChange(change, previous);
      models.add(change.model);
    }
    this.#moveTo(upTo);
    this.#handler.onEnd(models);
  }

  #missingImages(changes: readonly Change[]): Change[] {
    return changes.filter((change) => !change.hasImages && this.#handler.needsImages(change));
  }

  #moveTo({ seq, at }: LogPosition): void {
    this.#position = { seq, at };
    this.#cursor = encodeLogCursor(this.#log.epoch, this.#position);
  }

  async #onFailure(error: unknown): Promise<void> {
    if (error instanceof AppError && error.code === 'RESYNC_REQUIRED') {
      await this.#startOver();
    } else {
      this.lag.fail(error);
    }
    this.#isWoken = false;
    setTimeout(() => this.wake(), RETRY_DELAY_MS).unref();
  }

  /** Goes on from the present end of a log that no longer holds the position up to which it was read. */
  async #startOver(): Promise<void> {
    const { seq } = this.#position;
    this.#reports.onFailure(
      new Error(`The log does not hold change ${seq}, up to which it was read: all subscribers have to start over.`),
    );
    try {
      this.#head = await this.#log.begin();
      this.#moveTo(this.#head);
    } catch (error) {
      this.lag.fail(error);
      return;
    }
    this.#handler.onLoss();
  }
}
