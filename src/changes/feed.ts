import { AppError } from '../errors.ts';
import { decodeCursor, encodeCursor, type Position } from './cursor.ts';
import { InterestIndex } from './interest.ts';
import type { Change, ChangeLog } from './log.ts';
import { Memberships } from './memberships.ts';
import { type Source, Stream, type StreamLimits } from './stream.ts';
import type { IndexKey, Watch } from './watch.ts';

/** How many changes are read at once. */
const BATCH = 500;

/** Finds the subscriptions to all chats of a user: which ones those are changes while the subscription lasts. */
export function participantKey(userId: number): IndexKey {
  return { model: 'ChatSession', column: 'participant', value: userId };
}

/** Is told of a change that its keys meet, in the turn in which the feed reads it. */
type Listener = (change: Change) => void;

export interface FeedOptions {
  readonly limits: StreamLimits;
  /** Takes note of a read that failed, once until one succeeds; the next wake-up tries again. */
  readonly onFailure: (error: unknown) => void;
}

/** Reads the log once for all subscribers of this process and hands each change to those whom it may concern. */
export class Feed implements Source {
  readonly memberships: Memberships;
  readonly #log: ChangeLog;
  readonly #options: FeedOptions;
  readonly #streams = new InterestIndex<Stream>();
  readonly #listeners = new InterestIndex<Listener>();
  readonly #open = new Set<Stream>();
  readonly #onLost = new Set<() => void>();
  /** The last change of each row that was heeded before its turn. */
  readonly #foreseen = new Map<string, number>();
  #position: Position;
  #changes = 0;
  #pumping: Promise<boolean> | null = null;
  #wokenAgain = false;
  #scheduled = false;
  #failing = false;
  #closed = false;

  private constructor(log: ChangeLog, options: FeedOptions, memberships: Memberships, position: Position) {
    this.#log = log;
    this.#options = options;
    this.memberships = memberships;
    this.#position = position;
  }

  /** Starts to read the log from its present end. */
  static async start(log: ChangeLog, options: FeedOptions): Promise<Feed> {
    const snapshot = await log.snapshotChats();
    const feed = new Feed(log, options, new Memberships(snapshot), snapshot.position);
    log.onWake(() => feed.wake());
    return feed;
  }

  /** The position up to which every change has been handed out; what is read from the database now includes all of them. */
  get cursor(): string {
    return encodeCursor(this.#log.epoch, this.#position);
  }

  /** What there is to do: open streams, the number of the last change that was handed out, and how many were since the start. */
  get load(): { readonly streams: number; readonly position: number; readonly changes: number } {
    return { streams: this.#open.size, position: this.#position.seq, changes: this.#changes };
  }

  /** Says that something may have been committed; the log is read soon, once however often this is called meanwhile. */
  wake(): void {
    if (this.#scheduled || this.#closed) {
      return;
    }
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#closed) {
        return;
      }
      if (this.#pumping) {
        this.#wokenAgain = true;
        return;
      }
      this.#start();
    });
  }

  /** Reads one batch, or waits for the one that is being read; tells whether there is more. */
  #start(): Promise<boolean> {
    this.#wokenAgain = false;
    this.#pumping ??= this.#pump().finally(() => {
      this.#pumping = null;
    });
    return this.#pumping;
  }

  /**
   * Waits until everything that was committed before the call has been handed out, but for what a transaction that still runs keeps back;
   * of that, who may see what is known as well.
   */
  async catchUp(): Promise<void> {
    // A read that runs already may have looked before the commit.
    await this.#pumping;
    while (await this.#start()) {}
  }

  /**
   * The events of a watch: those after the cursor, then those to come.
   *
   * @throws {AppError} `BAD_CURSOR` when the cursor is malformed; `RESYNC_REQUIRED` when it belongs to another log, lies in the future, or the log no
   * longer reaches back to it
   */
  async subscribe(watch: Watch, after: string | null, onOverflow: () => void): Promise<Stream> {
    // Who sees what is known then as it was when the subscriber asked, also to those who resume.
    await this.catchUp();
    const position = after === null ? this.#position : await this.#resume(after);
    const stream = new Stream(this, watch, position, this.#options.limits, onOverflow);
    this.#open.add(stream);
    // Already while it replays: then, too, a lost right takes back what waits.
    this.#streams.add(watch.keys, stream);
    stream.start();
    return stream;
  }

  /**
   * Calls back for every change that the keys meet, until the function that it gives is called; for changes of rights as soon as they are
   * committed, be it before their turn. `onLost` is called when changes are gone that nobody has read.
   */
  listen(keys: readonly IndexKey[], listener: Listener, onLost: () => void = () => undefined): () => void {
    // Each registration is one of its own, whoever else is called back by the same function.
    const lost = (): void => onLost();
    this.#listeners.add(keys, listener);
    this.#onLost.add(lost);
    return () => {
      this.#listeners.remove(keys, listener);
      this.#onLost.delete(lost);
    };
  }

  replay(from: Position, models: readonly string[]): Promise<{ changes: readonly Change[]; upTo: Position }> {
    return this.#log.read(from, { limit: BATCH, models, until: this.#position });
  }

  isBeyond(position: Position): boolean {
    return position.seq < this.#position.seq;
  }

  detach(stream: Stream): void {
    this.#streams.remove(stream.watch.keys, stream);
    this.#open.delete(stream);
  }

  /** Ends every stream and stops reading. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const stream of [...this.#open]) {
      await stream.return();
    }
    await this.#pumping;
    await this.#log.close();
  }

  async #resume(after: string): Promise<Position> {
    const cursor = decodeCursor(after);
    if (cursor.epoch !== this.#log.epoch || !(await this.#log.holds(cursor))) {
      throw new AppError('RESYNC_REQUIRED');
    }
    return cursor;
  }

  async #pump(): Promise<boolean> {
    try {
      const { changes, ahead, upTo, more } = await this.#log.read(this.#position, { limit: BATCH });
      this.#failing = false;
      this.#foresee(ahead);
      this.#publish(changes);
      this.#changes += changes.length;
      this.#position = upTo;
      if (more || this.#wokenAgain) {
        // Through a new turn of the event loop, so that a long log does not keep sockets waiting.
        this.wake();
      }
      return more;
    } catch (error) {
      if (error instanceof AppError && error.code === 'RESYNC_REQUIRED') {
        return this.#startOver();
      }
      if (!this.#failing) {
        this.#failing = true;
        this.#options.onFailure(error);
      }
      return false;
    }
  }

  /** Goes on from the present end of a log that no longer holds the place where this was, and has every subscriber start over, too. */
  async #startOver(): Promise<boolean> {
    const { seq } = this.#position;
    this.#options.onFailure(new Error(`The log does not hold change ${seq}, up to which it was read: all start over.`));
    try {
      const snapshot = await this.#log.snapshotChats();
      this.#foreseen.clear();
      this.memberships.startOver(snapshot);
      this.#position = snapshot.position;
    } catch (error) {
      this.#options.onFailure(error);
      return false;
    }
    for (const onLost of [...this.#onLost]) {
      onLost();
    }
    for (const stream of [...this.#open]) {
      stream.fail(new AppError('RESYNC_REQUIRED'));
    }
    return true;
  }

  /** Heeds changes of rights that are committed, although others have to be told first. */
  #foresee(ahead: readonly Change[]): void {
    for (const change of ahead) {
      const row = rowOf(change);
      if (change.seq > (this.#foreseen.get(row) ?? 0)) {
        this.#foreseen.set(row, change.seq);
        this.#heed(change);
        for (const stream of this.#streams.find(change)) {
          stream.foresee(change);
        }
      }
    }
  }

  #wasForeseen(change: Change): boolean {
    if (this.#foreseen.size === 0) {
      return false;
    }
    const row = rowOf(change);
    const foreseen = this.#foreseen.get(row);
    if (foreseen === change.seq) {
      this.#foreseen.delete(row);
    }
    return foreseen !== undefined && change.seq <= foreseen;
  }

  #heed(change: Change): void {
    this.memberships.apply(change);
    for (const listener of this.#listeners.find(change)) {
      listener(change);
    }
  }

  /** Hands out a batch without giving way: nobody can attach between two of its changes. */
  #publish(changes: readonly Change[]): void {
    for (const change of changes) {
      if (!this.#wasForeseen(change)) {
        this.#heed(change);
      }
      for (const stream of this.#concerned(change)) {
        stream.offer(change);
      }
    }
  }

  /** The streams that a change may concern; what happens to a chat concerns all who take part in it. */
  #concerned(change: Change): ReadonlySet<Stream> {
    const streams = this.#streams.find(change);
    for (const userId of this.memberships.participantsIn(change)) {
      for (const stream of this.#streams.at(participantKey(userId))) {
        streams.add(stream);
      }
    }
    return streams;
  }
}

function rowOf({ model, rowId }: Change): string {
  return `${model} ${rowId}`;
}
