import { createHash } from 'node:crypto';
import { AppError } from '../errors.ts';

/**
 * A position in the log: the change with this `seq`, or 0 before all of them. `at` is when that change was written, in milliseconds since
 * 1970; it distinguishes the change from another one of the same number, as a database that was restored from a copy makes them.
 */
export interface LogPosition {
  readonly seq: number;
  readonly at: number;
}

/** The position before every change. */
export const LOG_START: LogPosition = { seq: 0, at: 0 };

/** A position in one particular log. */
export interface LogCursor extends LogPosition {
  readonly epoch: string;
}

/** The epoch of a log: its identity, and the settings under which it is read. */
export function epochOf(identity: string, settings: string): string {
  return createHash('sha256').update(`${identity} ${settings}`).digest('hex').slice(0, 16);
}

/** Writes a cursor: `epoch:seq-fingerprint`. Opaque to clients. */
export function encodeLogCursor(epoch: string, { seq, at }: LogPosition): string {
  return `${epoch}:${seq}-${at.toString(36)}`;
}

/**
 * Reads a cursor.
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
