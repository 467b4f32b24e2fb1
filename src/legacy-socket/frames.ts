import type { EventAction } from '../changes/filter.ts';
import { AppError } from '../errors.ts';

/** What a client names a subscription with; it is sent back as it came. */
export type FrameId = string | number | boolean;

/** The two generations of messages; a client receives answers in the style that it asked in. */
export type Style = 'first' | 'second';

/** A frame that is a JSON object; nothing else about it is checked. */
export type Frame = Readonly<Record<string, unknown>>;

/** Where an answer belongs. */
export interface Address {
  readonly style: Style;
  readonly id: FrameId;
}

const ID_FIELDS: Readonly<Record<Style, string>> = { first: 'request_id', second: 'id' };

/** How much of a client's own words an answer repeats, in letters. */
const MAX_QUOTE = 100;

/** How long the id of a frame may be: each answer and each broadcast repeats it. */
const MAX_ID_LENGTH = 1000;

/** Reads a frame, or gives null when it is no JSON object. */
export function readFrame(text: string): Frame | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

/** The generation that a frame belongs to: only the second one's have a `type`, and an `id` in place of a `request_id`. */
export function styleOf(frame: Frame): Style {
  const isSecond = !Object.hasOwn(frame, 'request_id') && (Object.hasOwn(frame, 'id') || Object.hasOwn(frame, 'type'));
  return isSecond ? 'second' : 'first';
}

/**
 * The id of a frame.
 *
 * @throws {AppError} `BAD_INPUT` when it has none that could be sent back as it came
 */
export function idOf(frame: Frame, style: Style): FrameId {
  const field = ID_FIELDS[style];
  const id = frame[field];
  if (id === undefined || id === null) {
    throw new AppError('BAD_INPUT', `No ${field} specified.`);
  }
  if (!isScalar(id)) {
    throw new AppError('BAD_INPUT', `\`${field}\` must be a string, a number or a boolean.`);
  }
  if (typeof id === 'string' && id.length > MAX_ID_LENGTH) {
    throw new AppError('BAD_INPUT', `\`${field}\` has more than ${MAX_ID_LENGTH} characters.`);
  }
  if (typeof id === 'number' && Math.abs(id) > Number.MAX_SAFE_INTEGER) {
    throw new AppError('BAD_INPUT', `\`${field}\` is too large a number to be sent back as it came.`);
  }
  return id;
}

/** The frame that reports an error. */
export function errorFrame({ style, id }: { style: Style; id: FrameId | null }, code: number, message: string): string {
  return JSON.stringify({ type: 'error', [ID_FIELDS[style]]: id, code, message });
}

/** The frame of a change, up to its instance, which is JSON and comes next. */
export function broadcastHead({ style, id }: Address, model: string, action: EventAction): string {
  const head = JSON.stringify({ type: 'broadcast', [ID_FIELDS[style]]: id, model, action });
  return `${head.slice(0, -1)},"instance":`;
}

/** The rest of the frame; the cursor is null where the client did not ask for it. */
export function broadcastTail(cursor: string | null): string {
  return cursor === null ? '}' : `,"cursor":${JSON.stringify(cursor)}}`;
}

export function isRecord(value: unknown): value is Frame {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isScalar(value: unknown): value is FrameId {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** Whether the original, which was written in Python, took a value for true. */
export function isTrue(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) {
    return Object.keys(value).length > 0;
  }
  return Boolean(value);
}

/** A client's value in a sentence, as the original wrote it, but never all of a long one. */
export function quote(value: unknown): string {
  if (value === undefined || value === null) {
    return 'None';
  }
  if (typeof value === 'boolean') {
    return value ? 'True' : 'False';
  }
  if (typeof value === 'object') {
    return Array.isArray(value) ? '[…]' : '{…}';
  }
  const text = String(value);
  return text.length > MAX_QUOTE ? `${text.slice(0, MAX_QUOTE)}…` : text;
}
