import { createHash } from 'node:crypto';
import { AppError } from '../errors.ts';

/**
 * A position in the log: the change with this `seq`, or 0 for the position before all changes. `at` is when that change was written, in milliseconds since
 * 1970; it distinguishes the change from another one with the same number, which a database that was restored from a copy can have.
 */
export interface LogPosition {
  readonly seq: number;
  readonly at: number;
}

/** The position before all changes. */
export const LOG_START: LogPosition = { seq: 0, at: 0 };

/** A position in the log with this epoch. */
export interface LogCursor extends LogPosition {
  readonly epoch: string;
}

/** Returns the epoch of a log: a digest of its identity and of the settings under which it is read. */
export function epochOf(identity: string, settings: string): string {
  return createHash('sha256').update(`${identity} ${settings}`).digest('hex').slice(0, 16);
}

/** Returns a position as a cursor, `epoch:seq-at`, which is opaque to clients. */
export function encodeLogCursor(epoch: string, { seq, at }: LogPosition): string {
  return `${epoch}:${seq}-${at.toString(36)}`;
}

/**
 * Returns the position that a cursor encodes.
 *
 * @throws {AppError} `BAD_CURSOR` when it is malformed
 */
export function decodeLogCursor(text: string): LogCursor {
  const [, epoch, seq, at] = /^([0-9a-f]{16}):(\d{1,15})-([0-9a-z]{1,10})$/.exec(text) ?? [];
  if (epoch === undefined || seq === undefined || at === undefined) {
    throw new AppError('BAD_CURSOR', 'The cursor is malformed.');
  }
  return { epoch, seq: Number(seq), at: Number.parseInt(at, 36) };
}
