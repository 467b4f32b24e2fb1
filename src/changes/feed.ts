import { AppError } from '../errors.ts';
import { type AccessListener, AccessListeners } from './access-listeners.ts';
import { type Change, type RowChange, UnreadableChangeError } from './change.ts';
import { decodeLogCursor, encodeLogCursor, type LogPosition } from './cursor.ts';
import { DeliveryLoop } from './delivery-loop.ts';
import type { FeedLag, FeedReports } from './feed-lag.ts';
import type { Interest, SubscriptionFilter } from './filter.ts';
import type { ChangeLog, ReadLimits, ReplayBatch } from './log.ts';
import { LogPoller, type PollHandler } from './log-poller.ts';
import { type MembershipRule, Memberships } from './memberships.ts';
import { Replays } from './replays.ts';
import { ResultStore } from './results.ts';
import { SharedFilters } from './shared-filters.ts';
import { Stream, type StreamLimits, type StreamSource } from './stream.ts';

/** How much is read at once on behalf of a caller. */
const READ: ReadLimits = { rows: 500, bytes: 1024 * 1024 };

export interface FeedOptions extends FeedReports {
  readonly limits: StreamLimits;
  /** The bytes of events that may wait in all streams together. */
  readonly maxWaitingBytes: number;
  /** The bytes of results that are kept for streams that have not sent them yet. */
  readonly maxResultBytes: number;
  /** With a lag beyond this the process is not ready, in milliseconds. */
  readonly maxLagMs: number;
  readonly memberships: readonly MembershipRule[];
}

/** Reads the log once for all subscriptions of this process and passes each change to those that it may concern. */
export class Feed implements StreamSource, PollHandler {
  readonly memberships: Memberships;
  readonly limits: StreamLimits;
  readonly loop: DeliveryLoop;
  readonly replays: Replays;
  readonly #log: ChangeLog;
  readonly #options: FeedOptions;
  readonly #poller: LogPoller;
  readonly #filters = new SharedFilters();
  readonly #access = new AccessListeners();
  readonly #modelListeners = new Map<string, Set<() => void>>();
  readonly #lossListeners = new Set<() => void>();
  /** The streams that have not ended, with what stops their notification of access changes. */
  readonly #streams = new Map<Stream, () => void>();
  readonly #counts = { changes: 0, unreadable: 0, resyncs: 0 };

  private constructor(log: ChangeLog, options: FeedOptions, position: LogPosition) {
    this.#log = log;
    this.#options = options;
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

  /** Starts to read the log from its present end. */
  static async start(log: ChangeLog, options: FeedOptions): Promise<Feed> {
    return new Feed(log, options, await log.begin());
  }

  get position(): LogPosition {
    return this.#poller.position;
  }

  /** The position up to which every change was offered to subscriptions; what is read from the database now includes all of them. */
  get cursor(): string {
    return this.#poller.cursor;
  }

  /** Whether every access change that was committed more than a second ago is known here. */
  get isCurrent(): boolean {
    return this.#poller.isCurrent;
  }

  get lag(): FeedLag {
    return this.#poller.lag;
  }

  /** Writes a position as clients receive it. */
  cursorOf(position: LogPosition): string {
    return encodeLogCursor(this.#log.epoch, position);
  }

  /** Counts for operators: open streams, those of them that catch up, and since the start changes read, unreadable changes and resyncs. */
  get counts() {
    const catchingUp = [...this.#streams.keys()].filter(({ isLive }) => !isLive).length;
    return { ...this.#counts, streams: this.#streams.size, catchingUp };
  }

  /** Why subscriptions cannot rely on the feed at present; null when they can. */
  get problem(): string | null {
    if (this.lag.failingMs > this.#options.maxLagMs) {
      return 'The change log cannot be read.';
    }
    return this.lag.ms > this.#options.maxLagMs ? 'Subscribers receive changes too late.' : null;
  }

  /** Says that something may have been committed; the log is polled soon, once however often this is called meanwhile. */
  wake(): void {
    this.#poller.wake();
  }

  /**
   * Waits for a poll that begins after this call: what decides about access is known then, and everything that was committed before is in
   * the log up to the position that it returns, apart from what a transaction that still runs keeps back.
   */
  refresh(): Promise<LogPosition> {
    return this.#poller.refresh();
  }

  /**
   * A subscription to the changes after the cursor `after`, or to those to come. `since` is a cursor from before the viewer of the filter was
   * read. The filter is released with the subscription, also when this fails.
   *
   * @throws {AppError} `BAD_CURSOR` when the cursor is malformed; `RESYNC_REQUIRED` when it belongs to another log, lies in the future, or the log no
   * longer reaches back to it
   */
  async open(filter: SubscriptionFilter, after: string | null, since: string): Promise<Stream> {
    try {
      const cursor = after === null ? null : decodeLogCursor(after);
      const head = await this.refresh();
      if (cursor && (cursor.epoch !== this.#log.epoch || !(await this.#log.holds(cursor)))) {
        throw new AppError('RESYNC_REQUIRED');
      }
      if (cursor) {
        await this.#expectNoBarrier(filter, cursor, head);
      } else {
        await this.#expectPresentViewer(filter, decodeLogCursor(since), head);
      }
      return this.#create(filter, cursor ?? head);
    } catch (error) {
      filter.release();
      throw error;
    }
  }

  /** Calls back for the access changes of these scopes until the function that it returns is called. */
  onAccess(scopes: readonly string[], listener: AccessListener): () => void {
    return this.#access.add(scopes, listener);
  }

  /**
   * Calls back for the access changes of all scopes, for as long as the feed lives, and before the listeners of a scope. The images of the change may be
   * unreadable; its scopes never are.
   */
  onEveryAccess(listener: (change: Change) => void): void {
    this.#access.addToEvery(listener);
  }

  /** Calls back for each change that an interest selects, in log order, until the function that it returns is called. */
  onChangeOf(interest: Interest, listener: (change: RowChange) => void): () => void {
    return this.#filters.listen(interest, listener);
  }

  /** Calls back soon after changes of a model were read, until the function that it returns is called. */
  onModel(model: string, listener: () => void): () => void {
    const listeners = this.#modelListeners.get(model) ?? new Set();
    this.#modelListeners.set(model, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Calls back when changes are gone that this process has not read, until the function that it returns is called. */
  whenLost(listener: () => void): () => void {
    this.#lossListeners.add(listener);
    return () => this.#lossListeners.delete(listener);
  }

  /**
   * Reads the changes of models after a position, or from it on, up to what the feed has read.
   *
   * @throws {AppError} `RESYNC_REQUIRED` when the log does not hold the position
   */
  read(models: readonly string[], from: LogPosition, includesFrom = false): Promise<ReplayBatch> {
    return this.#log.replay({ models }, { from, until: this.position, includesFrom }, READ);
  }

  /** Ends every subscription and stops reading. */
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
    return this.#filters.concerns(change);
  }

  onAccessChanges(changes: readonly Change[]): void {
    for (const change of changes) {
      const readable = isReadable(change);
      if (readable) {
        this.memberships.apply(change);
      } else {
        this.#reportUnreadable(change);
        this.memberships.reload();
      }
      for (const listener of this.#access.ofEvery) {
        this.#guard(() => listener(change));
      }
      for (const listener of this.#access.find(change)) {
        this.#guard(() => listener(readable ? change : null));
      }
    }
  }

  onBegin(): void {
    this.loop.beginWave();
  }

  onChange(change: Change, previous: LogPosition): void {
    this.#counts.changes += 1;
    for (const { streams, error } of this.#filters.offer(change, previous)) {
      if (error instanceof UnreadableChangeError) {
        this.#reportUnreadable(change);
        this.#resync(streams);
      } else {
        this.#options.onFailure(error);
        for (const stream of streams) {
          this.#guard(() => stream.fail(error as Error));
        }
      }
    }
  }

  onEnd(models: ReadonlySet<string>): void {
    for (const model of models) {
      for (const listener of this.#modelListeners.get(model) ?? []) {
        this.#guard(listener);
      }
    }
  }

  onLoss(): void {
    this.replays.clear();
    this.memberships.reload();
    for (const listener of [...this.#lossListeners]) {
      this.#guard(listener);
    }
    this.#resync([...this.#streams.keys()]);
  }

  #create(filter: SubscriptionFilter, position: LogPosition): Stream {
    const stream = new Stream(this, filter, position);
    const ignore = this.#access.add(filter.accessScopes, (change) => {
      stream.onAccessChange(change);
      this.#filters.reroute(stream);
    });
    this.#streams.set(stream, ignore);
    stream.checkAccess();
    return stream;
  }

  /** @throws {AppError} `RESYNC_REQUIRED` when something happened after the position that changed what the viewer sees without events */
  async #expectNoBarrier(filter: SubscriptionFilter, from: LogPosition, head: LogPosition): Promise<void> {
    if ((await this.#barriers(filter, from, head)).length > 0) {
      throw new AppError('RESYNC_REQUIRED');
    }
  }

  /**
   * Expects that the viewer was read after the last change of what they are. That change may lie behind the position from which the viewer was read all the
   * same: access changes are known before the log is read up to them.
   *
   * @throws {AppError} `RESYNC_REQUIRED` otherwise
   */
  async #expectPresentViewer(filter: SubscriptionFilter, from: LogPosition, head: LogPosition): Promise<void> {
    const last = (await this.#barriers(filter, from, head)).at(-1);
    if (last && (!isReadable(last) || filter.isViewerOlderThan?.(last))) {
      throw new AppError('RESYNC_REQUIRED');
    }
  }

  /** The changes between two positions that change what the viewer sees without events, or may do so. */
  async #barriers(
    { barrier, isBarrier }: SubscriptionFilter,
    from: LogPosition,
    head: LogPosition,
  ): Promise<readonly Change[]> {
    if (!barrier || !isBarrier || from.seq >= head.seq) {
      return [];
    }
    const { changes } = await this.#log.replay({ scoped: [barrier] }, { from, until: head }, READ);
    return changes.filter((change) => !isReadable(change) || isBarrier(change));
  }

  #resync(streams: readonly Stream[]): void {
    for (const stream of streams) {
      this.#counts.resyncs += 1;
      this.#guard(() => stream.fail(new AppError('RESYNC_REQUIRED')));
    }
  }

  #reportUnreadable({ seq, model, rowId, scope }: Change): void {
    this.#counts.unreadable += 1;
    this.#options.onWarning('A change cannot be read; its subscribers have to start over.', {
      seq,
      model,
      rowId,
      scope,
    });
  }

  /** A listener that fails harms nobody else. */
  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#options.onFailure(error);
    }
  }
}

function isReadable(change: Change): boolean {
  try {
    return [change.before, change.after].length > 0;
  } catch {
    return false;
  }
}
