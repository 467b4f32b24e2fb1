import type { Change } from './change.ts';
import type { LogPosition } from './cursor.ts';
import type { MembershipLoad, MembershipRow } from './memberships.ts';

/** How much one read of the log may return. */
export interface ReadLimits {
  readonly rows: number;
  /** Bytes of row images; one change is returned however large it is. */
  readonly bytes: number;
}

/** What the feed asks of the log in one turn. */
export interface PollRequest {
  /** The position up to which the feed has read. */
  readonly after: LogPosition;
  readonly limits: ReadLimits;
  /** Whether somebody here needs the images of a change. */
  readonly needsImages: (change: Change) => boolean;
  /** Memberships to be read as they are at the instant of this poll. */
  readonly loads: readonly MembershipLoad[];
}

/** A transaction that still runs and keeps back changes that are committed. */
export interface HorizonHolder {
  /** The process of the database that runs it. */
  readonly pid: number;
  /** How long it has been running, in seconds. */
  readonly ageS: number;
}

export interface Poll {
  /** The changes after the requested position, in log order. */
  readonly changes: readonly Change[];
  /** The position up to which the log has now been read. */
  readonly upTo: LogPosition;
  /** The newest position that can be read; no change can still appear before it. */
  readonly head: LogPosition;
  /** Changes that decide about access and that no poll has returned before, wherever in the log they are. */
  readonly accessChanges: readonly Change[];
  /** Whether there are more of those. Then the poll returns nothing else: they come first. */
  readonly hasMoreAccessChanges: boolean;
  /** What the requested memberships are, all `accessChanges` included. */
  readonly memberships: readonly MembershipRow[];
  /** When the oldest committed change was written that a transaction keeps back that still runs, in milliseconds since 1970; null when none is. */
  readonly heldBackSince: number | null;
}

/** A model within one scope. */
export interface ScopedModel {
  readonly model: string;
  readonly scope: string;
}

/** Which changes a replay reads: those of models within scopes, or all those of models. */
export type ReplaySelection = { readonly scoped: readonly ScopedModel[] } | { readonly models: readonly string[] };

/** The changes after `from`, or from it on with `includesFrom`, up to `until`. */
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

/** The change log of one database. Reads return committed changes only, and never skip one. */
export interface ChangeLog {
  readonly epoch: string;
  /** How many replays may read at the same time. */
  readonly replayConcurrency: number;
  /** The shortest time between two polls while there is nothing left to read, in milliseconds. */
  readonly minPollIntervalMs: number;
  /** Identifies the log anew and returns its present end, from which access changes are reported. */
  begin(): Promise<LogPosition>;
  /**
   * Reads what is new.
   *
   * @throws {AppError} `RESYNC_REQUIRED` when the log does not hold the position `after`, so that changes after it may be gone
   */
  poll(request: PollRequest): Promise<Poll>;
  /** Reads the images of changes that were returned without. */
  loadImages(changes: readonly Change[]): Promise<void>;
  /**
   * Reads the selected changes of a range, in log order.
   *
   * @throws {AppError} `RESYNC_REQUIRED` when the log does not hold the position `from`
   */
  replay(selection: ReplaySelection, range: ReplayRange, limits: ReadLimits): Promise<ReplayBatch>;
  /** Whether the change at this position is in the log, or the position is the start and nothing was removed since. */
  holds(position: LogPosition): Promise<boolean>;
  /** The transaction that keeps changes back for longest, where one does. */
  findHorizonHolder(): Promise<HorizonHolder | null>;
  /**
   * Calls `wake` soon after any commit of another process; sometimes without need. Where that is known at little cost, `confirmUnchanged` is called again
   * and again while nobody has committed anything since the last `wake`.
   */
  onWake(wake: () => void, confirmUnchanged: () => void): void;
  /** Says that this process has committed something, so that others are woken. */
  announce(): void;
  close(): Promise<void>;
}
