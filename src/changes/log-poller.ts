import { AppError } from '../errors.ts';
import type { Change } from './change.ts';
import { encodeLogCursor, type LogPosition } from './cursor.ts';
import { FeedLag, type FeedReports } from './feed-lag.ts';
import type { ChangeLog, Poll, ReadLimits } from './log.ts';
import type { Memberships } from './memberships.ts';
import { Refreshes } from './refreshes.ts';

/** The limits of one poll. */
const POLL_LIMITS: ReadLimits = { rows: 500, bytes: 1024 * 1024 };
/** The delay before a poll that failed is repeated, in milliseconds. */
const RETRY_DELAY_MS = 250;
/** The age of the last poll up to which access changes count as applied, in milliseconds: a few times the longest poll interval. */
const CURRENT_MS = 1_000;

/** Handles the changes that a poll has read. */
export interface PollHandler {
  readonly memberships: Memberships;
  /** Whether a subscription or listener of this process needs the images of a change. */
  needsImages(change: Change): boolean;
  /** Applies access changes early, before the older changes of the log are handled. */
  handleAccessChanges(changes: readonly Change[]): void;
  /** Called before the changes of a poll are handled. */
  beginBatch(): void;
  /** Handles the next change in log order; `previous` is the position before it. */
  handleChange(change: Change, previous: LogPosition): void;
  /** Called after the changes of a poll were handled, with the models of their rows. */
  endBatch(models: ReadonlySet<string>): void;
  /** Called when the log is another one than before, or no longer holds changes that this process has not read. */
  handleLogReset(): void;
}

/** Polls the log, one poll at a time, whenever something may have been committed. */
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
  /** When every access change of the log was last known to be applied. */
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
    // Changes may have been committed after the position was read and before the wake-ups started.
    this.wake();
  }

  /** The position up to which every change was handled. */
  get position(): LogPosition {
    return this.#position;
  }

  /** The end of the log at the last poll: the log can be read up to here, whether or not those changes were handled. */
  get head(): LogPosition {
    return this.#head.seq > this.#position.seq ? this.#head : this.#position;
  }

  /** Whether every access change that was committed more than {@link CURRENT_MS} ago was applied. */
  get isCurrent(): boolean {
    return performance.now() - this.#currentAt < CURRENT_MS;
  }

  /** The position up to which every change was handled, as clients receive it. */
  get cursor(): string {
    return this.#cursor;
  }

  /** Requests a poll, since something may have been committed; calls before that poll begins are coalesced. */
  wake(): void {
    this.#isWoken = true;
    this.#schedule();
  }

  /** Waits for a poll that begins after this call; returns the end of the log at that poll. */
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

  /** Records that nothing was committed since the last poll began, which confirms its result as another poll would. */
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
      // A new turn of the event loop for each poll, so that a backlog does not block sockets.
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
        limits: POLL_LIMITS,
        needsImages: (change) => this.#handler.needsImages(change),
        loads,
      });
      this.#handler.handleAccessChanges(poll.accessChanges);
      if (poll.hasMoreAccessChanges) {
        memberships.requeue(loads);
        refreshes.requeue();
        this.wake();
        return;
      }
      this.#currentAt = polledAt;
      this.#head = poll.head;
      memberships.applyLoads(loads, poll.memberships);
      refreshes.resolve(poll.head);
      await this.#handle(poll);
      this.lag.record(poll);
      if (poll.upTo.seq < poll.head.seq) {
        this.wake();
      }
    } catch (error) {
      this.#currentAt = Number.NEGATIVE_INFINITY;
      memberships.requeue(loads);
      refreshes.requeue();
      await this.#handleFailure(error);
    }
  }

  /** Handles the changes of a poll in one turn of the event loop, so that no subscription starts between two of them. */
  async #handle({ changes, upTo }: Poll): Promise<void> {
    // A subscription that started during the poll may need images that the poll left out.
    for (let missing = this.#missingImages(changes); missing.length > 0; missing = this.#missingImages(changes)) {
      await this.#log.loadImages(missing);
    }
    this.#handler.beginBatch();
    const models = new Set<string>();
    for (const change of changes) {
      const previous = this.#position;
      this.#position = change;
      this.#handler.handleChange(change, previous);
      models.add(change.model);
    }
    this.#moveTo(upTo);
    this.#handler.endBatch(models);
  }

  #missingImages(changes: readonly Change[]): Change[] {
    return changes.filter((change) => !change.hasImages && this.#handler.needsImages(change));
  }

  #moveTo({ seq, at }: LogPosition): void {
    this.#position = { seq, at };
    this.#cursor = encodeLogCursor(this.#log.epoch, this.#position);
  }

  async #handleFailure(error: unknown): Promise<void> {
    if (error instanceof AppError && error.code === 'RESYNC_REQUIRED') {
      await this.#restart();
    } else {
      this.lag.recordFailure(error);
    }
    this.#isWoken = false;
    setTimeout(() => this.wake(), RETRY_DELAY_MS).unref();
  }

  /** Continues at the present end of a log that no longer holds the position up to which it was read. */
  async #restart(): Promise<void> {
    const { seq } = this.#position;
    this.#reports.onFailure(
      new Error(
        `The change log no longer holds change ${seq}, up to which it was read. All subscriptions end with RESYNC_REQUIRED.`,
      ),
    );
    try {
      this.#head = await this.#log.begin();
      this.#moveTo(this.#head);
    } catch (error) {
      this.lag.recordFailure(error);
      return;
    }
    this.#handler.handleLogReset();
  }
}
