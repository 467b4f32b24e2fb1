import { createHash } from 'node:crypto';
import { AppError } from '../errors.ts';

/**
 * A place in the log: the change with this `seq`, or 0 before all of them. `at` is when that change was written, in milliseconds since
 * 1970; it tells a change from another one of the same number, as a database that was restored from a copy makes them.
 */
export interface Position {
  readonly seq: number;
  readonly at: number;
}

export const ORIGIN: Position = { seq: 0, at: 0 };

/** A place in one particular log. */
export interface Cursor extends Position {
  readonly epoch: string;
}

/** The epoch of a log: who it is, and by which rules it is read. */
export function epochOf(identity: string, rules: string): string {
  return createHash('sha256').update(`${identity} ${rules}`).digest('hex').slice(0, 16);
}

/** Writes a cursor: `epoch:seq`, the seq with the fingerprint of its change. Opaque to clients. */
export function encodeCursor(epoch: string, { seq, at }: Position): string {
  return `${epoch}:${seq}-${at.toString(36)}`;
}

/**
 * Reads a cursor.
 *
 * @throws {AppError} `BAD_CURSOR` when it is malformed
 */
export function decodeCursor(text: string): Cursor {
  const [, epoch, seq, at] = /^([0-9a-f]{16}):(\d{1,15})-([0-9a-z]{1,10})$/.exec(text) ?? [];
  if (epoch === undefined || seq === undefined || at === undefined) {
    throw new AppError('BAD_CURSOR', 'The cursor is malformed.');
  }
  return { epoch, seq: Number(seq), at: Number.parseInt(at, 36) };
}
