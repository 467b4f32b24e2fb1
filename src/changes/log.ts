import type { Change } from './change.ts';
import type { LogPosition } from './cursor.ts';
import type { MembershipLoad, MembershipRow } from './memberships.ts';

/** The limits of one read of the log. */
export interface ReadLimits {
  readonly rows: number;
  /** The bytes of row images; at least one change is returned, however large it is. */
  readonly bytes: number;
}

/** The parameters of a poll. */
export interface PollRequest {
  /** The position up to which the feed has read. */
  readonly after: LogPosition;
  readonly limits: ReadLimits;
  /** Whether a subscription or listener of this process needs the images of a change. */
  readonly needsImages: (change: Change) => boolean;
  /** The memberships to read in the same snapshot as the access changes of this poll. */
  readonly loads: readonly MembershipLoad[];
}

/** A running transaction that holds the horizon, so that later committed changes cannot be read yet. */
export interface HorizonHolder {
  /** The server process of the database that runs the transaction. */
  readonly pid: number;
  /** The age of the transaction, in seconds. */
  readonly ageS: number;
}

export interface Poll {
  /** The changes after the requested position, in log order. */
  readonly changes: readonly Change[];
  /** The position up to which the log has now been read. */
  readonly upTo: LogPosition;
  /** The newest position that can be read: no change can still appear before it. */
  readonly head: LogPosition;
  /** The access changes that no poll has returned before, wherever in the log they are. */
  readonly accessChanges: readonly Change[];
  /** Whether there are more access changes. The poll then returns nothing else, since they are applied first. */
  readonly hasMoreAccessChanges: boolean;
  /** The requested memberships, with all `accessChanges` applied. */
  readonly memberships: readonly MembershipRow[];
  /** When the oldest committed change above the horizon was written, in milliseconds since 1970; null when there is none. */
  readonly heldBackSince: number | null;
}

/** A model within one scope. */
export interface ScopedModel {
  readonly model: string;
  readonly scope: string;
}

/** The changes that a replay reads: those of models within scopes, or all changes of models. */
export type ReplaySelection = { readonly scoped: readonly ScopedModel[] } | { readonly models: readonly string[] };

/** The changes after `from` (including it with `includesFrom`) up to `until`. */
export interface ReplayRange {
  readonly from: LogPosition;
  readonly until: LogPosition;
  readonly includesFrom?: boolean;
}

export interface ReplayBatch {
  readonly changes: readonly Change[];
  /** The position up to which the selection has been read. */
  readonly upTo: LogPosition;
}

/** The change log of one database. Reads return committed changes only, and never skip a change. */
export interface ChangeLog {
  readonly epoch: string;
  /** The number of replays that may read at the same time. */
  readonly replayConcurrency: number;
  /** The shortest time between the starts of two polls, in milliseconds. */
  readonly minPollIntervalMs: number;
  /** Reads the identity of the log again and returns its present end, from which on polls report access changes. */
  begin(): Promise<LogPosition>;
  /**
   * Reads the changes after a position.
   *
   * @throws {AppError} `RESYNC_REQUIRED` when the log does not contain the position `after`, so that changes after it may have been removed
   */
  poll(request: PollRequest): Promise<Poll>;
  /** Reads the images of changes that were returned without images. */
  loadImages(changes: readonly Change[]): Promise<void>;
  /**
   * Reads the selected changes of a range, in log order.
   *
   * @throws {AppError} `RESYNC_REQUIRED` when the log does not contain the position `from`
   */
  replay(selection: ReplaySelection, range: ReplayRange, limits: ReadLimits): Promise<ReplayBatch>;
  /** Whether the log contains the change at this position; for the start, whether no change was ever removed. */
  contains(position: LogPosition): Promise<boolean>;
  /** Returns the oldest transaction that holds the horizon, if there is one. */
  findHorizonHolder(): Promise<HorizonHolder | null>;
  /**
   * Calls `wake` soon after each commit of another process, and sometimes without one. A log that can detect at little cost that nothing was committed since
   * the last `wake` calls `confirmUnchanged` at short intervals.
   */
  onWake(wake: () => void, confirmUnchanged: () => void): void;
  /** Notifies the other processes that this process has committed something. */
  announce(): void;
  close(): Promise<void>;
}
