import type { Position } from './cursor.ts';
import type { ChangeAction, RowImage } from './models.ts';

/** One committed change of one row. */
export interface Change extends Position {
  /** The position, as clients are told it. */
  readonly cursor: string;
  readonly model: string;
  readonly rowId: number;
  readonly action: ChangeAction;
  readonly before: RowImage | null;
  readonly after: RowImage | null;
  /** About how much memory the change takes, in bytes. */
  readonly size: number;
}

/** The changes between two places of the log, up to and including `upTo`. */
export interface Slice {
  readonly changes: readonly Change[];
  readonly upTo: Position;
  /** Whether the log holds more of them. */
  readonly more: boolean;
  /**
   * What is committed beyond `upTo` already and decides about rights, where a transaction that still runs keeps back its place in the
   * order: it will be among the changes later.
   */
  readonly ahead: readonly Change[];
}

/** What must be known of chats to decide who takes part in them, read at one instant. */
export interface ChatSnapshot {
  readonly position: Position;
  readonly chats: readonly RowImage[];
  readonly members: readonly RowImage[];
}

/** The change log of one database. Reads see committed changes only, and never skip one. */
export interface ChangeLog {
  readonly epoch: string;
  /**
   * The changes after `from`, in the order of commits, at most `limit` of them. With `models` only theirs, while `upTo` still tells how far the
   * log was searched; never beyond `until`.
   *
   * @throws {AppError} `RESYNC_REQUIRED` when the log does not hold `from`, so that something after it may be gone
   */
  read(from: Position, options: { limit: number; models?: readonly string[]; until?: Position }): Promise<Slice>;
  /** Whether the change that the position names is in the log (or the position is the origin and nothing was removed since). */
  holds(position: Position): Promise<boolean>;
  /** All chats and members, together with the position up to which they are true. */
  snapshotChats(): Promise<ChatSnapshot>;
  /** Calls back soon after any commit of another process; sometimes without need. */
  onWake(wake: () => void): void;
  /** Says that this process has committed something, so that others are woken. */
  announce(): void;
  close(): Promise<void>;
}
