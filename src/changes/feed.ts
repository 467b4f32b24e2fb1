import { AppError } from '../errors.ts';
import type { AccessListener } from './access-listeners.ts';
import { type BarrierRange, requireCurrentViewer, requireNoBarrier } from './barriers.ts';
import { type Change, type RowChange, UnreadableChangeError } from './change.ts';
import { decodeLogCursor, encodeLogCursor, type LogPosition } from './cursor.ts';
import { DeliveryLoop } from './delivery-loop.ts';
import type { FeedLag, FeedReports } from './feed-lag.ts';
import { FeedListeners } from './feed-listeners.ts';
import type { Interest, SubscriptionFilter } from './filter.ts';
import type { ChangeLog, ReadLimits, ReplayBatch } from './log.ts';
import { LogPoller, type PollHandler } from './log-poller.ts';
import { type MembershipRule, Memberships } from './memberships.ts';
import { Replays } from './replays.ts';
import { ResultStore } from './results.ts';
import { SharedFilters } from './shared-filters.ts';
import { Stream, type StreamSource } from './stream.ts';
import type { StreamLimits } from './stream-limits.ts';

/** The limits of one read of the log for a caller of the feed. */
const READ_LIMITS: ReadLimits = { rows: 500, bytes: 1024 * 1024 };

export interface FeedOptions extends FeedReports {
  readonly limits: StreamLimits;
  /** The bytes of events that may wait in the queues of all streams together. */
  readonly maxWaitingBytes: number;
  /** The bytes of results that are cached for streams that have not sent them yet. */
  readonly maxResultBytes: number;
  /** The lag from which on the process reports that it is not ready, in milliseconds. */
  readonly maxLagMs: number;
  readonly memberships: readonly MembershipRule[];
}

/** Reads the log once for all subscriptions of this process and dispatches each change to the subscriptions that it may concern. */
export class Feed implements StreamSource, PollHandler {
  readonly memberships: Memberships;
  readonly limits: StreamLimits;
  readonly loop: DeliveryLoop;
  readonly replays: Replays;
  readonly #log: ChangeLog;
  readonly #options: FeedOptions;
  readonly #poller: LogPoller;
  readonly #filters = new SharedFilters();
  readonly #listeners: FeedListeners;
  /** The streams that have not ended, each with the function that removes its access listener. */
  readonly #streams = new Map<Stream, () => void>();
  readonly #counts = { changes: 0, unreadable: 0, resyncs: 0 };

  private constructor(log: ChangeLog, options: FeedOptions, position: LogPosition) {
    this.#log = log;
    this.#options = options;
    this.#listeners = new FeedListeners(options.onFailure);
    this.limits = options.limits;
    this.loop = new DeliveryLoop(new ResultStore(options.maxResultBytes), options.maxWaitingBytes);
    this.replays = new Replays(
      log,
      () => this.#poller.head,
      (change, stream) => {
        this.#reportUnreadable(change);
        this.#resync([stream]);
      },
    );
    this.memberships = new Memberships(options.memberships, () => this.wake());
    this.#poller = new LogPoller(log, position, this, options);
  }

  /** Returns a feed that reads the log from its present end. */
  static async start(log: ChangeLog, options: FeedOptions): Promise<Feed> {
    return new Feed(log, options, await log.begin());
  }

  get position(): LogPosition {
    return this.#poller.position;
  }

  /** The position up to which every change was dispatched, as clients receive it; rows that are read from the database now include all of these changes. */
  get cursor(): string {
    return this.#poller.cursor;
  }

  /** Whether this process has applied every access change that was committed more than a second ago. */
  get isCurrent(): boolean {
    return this.#poller.isCurrent;
  }

  get lag(): FeedLag {
    return this.#poller.lag;
  }

  /** Returns a position as clients receive it. */
  encodePosition(position: LogPosition): string {
    return encodeLogCursor(this.#log.epoch, position);
  }

  /** Counters for operators: open streams, how many of them catch up, and since the start the changes read, the unreadable changes and the resyncs. */
  get counts() {
    const catchingUp = [...this.#streams.keys()].filter(({ isLive }) => !isLive).length;
    return { ...this.#counts, streams: this.#streams.size, catchingUp };
  }

  /** Why the feed is not ready; null when it is. */
  get problem(): string | null {
    if (this.lag.failingMs > this.#options.maxLagMs) {
      return 'The change log cannot be read.';
    }
    return this.lag.ms > this.#options.maxLagMs ? 'Subscribers receive changes too late.' : null;
  }

  /** Requests a poll of the log, since something may have been committed; calls before that poll begins are coalesced. */
  wake(): void {
    this.#poller.wake();
  }

  /**
   * Waits for a poll that begins after this call, and returns the position of the log's end at that poll. All access changes that were committed before are
   * applied then, and the other changes that were committed before lie up to that position, except those above the horizon of a running transaction.
   */
  refresh(): Promise<LogPosition> {
    return this.#poller.refresh();
  }

  /**
   * Opens a subscription to the changes after the cursor `after`, or to later changes only when it is null. `since` is a cursor from before the viewer of
   * the filter was read. The filter is released with the subscription, also when this function throws.
   *
   * @throws {AppError} `BAD_CURSOR` when the cursor is malformed; `RESYNC_REQUIRED` when it belongs to another log, lies in the future, or the log no
   * longer reaches back to it
   */
  async open(filter: SubscriptionFilter, after: string | null, since: string): Promise<Stream> {
    try {
      const cursor = after === null ? null : decodeLogCursor(after);
      const head = await this.refresh();
      if (cursor && (cursor.epoch !== this.#log.epoch || !(await this.#log.contains(cursor)))) {
        throw new AppError('RESYNC_REQUIRED');
      }
      if (cursor) {
        await requireNoBarrier(this.#log, filter, barrierRange(cursor, head));
      } else {
        await requireCurrentViewer(this.#log, filter, barrierRange(decodeLogCursor(since), head));
      }
      return this.#create(filter, cursor ?? head);
    } catch (error) {
      filter.release();
      throw error;
    }
  }

  /** Calls back for the access changes of these scopes; returns the function that removes the listener. */
  onAccess(scopes: readonly string[], listener: AccessListener): () => void {
    return this.#listeners.addAccess(scopes, listener);
  }

  /**
   * Calls back for the access changes of all scopes until the feed is closed, before the listeners of single scopes. The images of the change may be
   * unreadable; its scopes are always readable.
   */
  onAnyAccess(listener: (change: Change) => void): void {
    this.#listeners.addAnyAccess(listener);
  }

  /** Calls back for each change that an interest selects, in log order; returns the function that removes the listener. */
  onChangeOf(interest: Interest, listener: (change: RowChange) => void): () => void {
    return this.#filters.listen(interest, listener);
  }

  /** Calls back after each batch that has changes of a model; returns the function that removes the listener. */
  onModel(model: string, listener: () => void): () => void {
    return this.#listeners.addModel(model, listener);
  }

  /** Calls back when the log no longer holds changes that this process has not read; returns the function that removes the listener. */
  onLogReset(listener: () => void): () => void {
    return this.#listeners.addReset(listener);
  }

  /**
   * Reads the changes of models after a position (including it with `includesFrom`) up to the feed's position.
   *
   * @throws {AppError} `RESYNC_REQUIRED` when the log does not hold the position
   */
  read(models: readonly string[], from: LogPosition, includesFrom = false): Promise<ReplayBatch> {
    return this.#log.replay({ models }, { from, until: this.position, includesFrom }, READ_LIMITS);
  }

  /** Ends every subscription and stops reading the log. */
  async close(): Promise<void> {
    for (const stream of [...this.#streams.keys()]) {
      stream.close();
    }
    this.memberships.fail(new Error('The server is closing.'));
    await this.#poller.close();
  }

  attach(stream: Stream): void {
    this.#filters.add(stream);
  }

  detach(stream: Stream): void {
    this.#filters.remove(stream);
    this.#streams.get(stream)?.();
    this.#streams.delete(stream);
  }

  setLive(stream: Stream, isLive: boolean): void {
    this.#filters.setLive(stream, isLive);
  }

  requestReplay(stream: Stream): void {
    this.replays.request(stream);
  }

  needsImages(change: Change): boolean {
    return this.#filters.hasTargets(change);
  }

  handleAccessChanges(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.isReadable) {
        this.memberships.apply(change);
      } else {
        this.#reportUnreadable(change);
        this.memberships.reload();
      }
      this.#listeners.callAccess(change);
    }
  }

  beginBatch(): void {
    this.loop.renewLoaderScope();
  }

  handleChange(change: Change, previous: LogPosition): void {
    this.#counts.changes += 1;
    for (const { streams, error } of this.#filters.dispatch(change, previous)) {
      if (error instanceof UnreadableChangeError) {
        this.#reportUnreadable(change);
        this.#resync(streams);
      } else {
        this.#options.onFailure(error);
        for (const stream of streams) {
          this.#listeners.guard(() => stream.fail(error as Error));
        }
      }
    }
  }

  endBatch(models: ReadonlySet<string>): void {
    this.#listeners.callModels(models);
  }

  handleLogReset(): void {
    this.replays.clear();
    this.memberships.reload();
    this.#listeners.callReset();
    this.#resync([...this.#streams.keys()]);
  }

  #create(filter: SubscriptionFilter, position: LogPosition): Stream {
    const stream = new Stream(this, filter, position);
    const removeListener = this.#listeners.addAccess(filter.accessScopes, (change) => {
      stream.onAccessChange(change);
      this.#filters.reroute(stream);
    });
    this.#streams.set(stream, removeListener);
    stream.checkAccess();
    return stream;
  }

  #resync(streams: readonly Stream[]): void {
    for (const stream of streams) {
      this.#counts.resyncs += 1;
      this.#listeners.guard(() => stream.fail(new AppError('RESYNC_REQUIRED')));
    }
  }

  #reportUnreadable({ seq, model, rowId, scope }: Change): void {
    this.#counts.unreadable += 1;
    this.#options.onWarning('A change in the log cannot be read. Its subscriptions end with RESYNC_REQUIRED.', {
      seq,
      model,
      rowId,
      scope,
    });
  }
}

function barrierRange(from: LogPosition, head: LogPosition): BarrierRange {
  return { from, head, limits: READ_LIMITS };
}
