import type { EventAction } from '../changes/filter.ts';
import { AppError } from '../errors.ts';
import { isRecord } from '../json.ts';

/** The id that a client gives to a subscription; it is sent back unchanged. */
export type FrameId = string | number | boolean;

/** The two generations of the protocol; a response has the generation of its request. */
export type Generation = 'first' | 'second';

/** A frame that is a JSON object, whose members are not checked yet. */
export type Frame = Readonly<Record<string, unknown>>;

/** Identifies the request, and its subscription, that a response belongs to. */
export interface RequestKey {
  readonly generation: Generation;
  readonly id: FrameId;
}

const ID_FIELDS: Readonly<Record<Generation, string>> = { first: 'request_id', second: 'id' };

/** The maximum number of characters of a client's value in an error message. */
const MAX_QUOTE = 100;

/** The maximum length of an id, which each response and each broadcast repeats. */
const MAX_ID_LENGTH = 1000;

/** Parses a frame; null when it is not a JSON object. */
export function readFrame(text: string): Frame | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

/** Returns the generation of a frame: only frames of the second one have a `type`, and an `id` instead of a `request_id`. */
export function generationOf(frame: Frame): Generation {
  const isSecond = !Object.hasOwn(frame, 'request_id') && (Object.hasOwn(frame, 'id') || Object.hasOwn(frame, 'type'));
  return isSecond ? 'second' : 'first';
}

/**
 * Returns the id of a frame.
 *
 * @throws {AppError} `BAD_INPUT` when it has none that can be sent back unchanged
 */
export function idOf(frame: Frame, generation: Generation): FrameId {
  const field = ID_FIELDS[generation];
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

/** Returns an error frame. */
export function errorFrame(
  { generation, id }: { generation: Generation; id: FrameId | null },
  code: number,
  message: string,
): string {
  return JSON.stringify({ type: 'error', [ID_FIELDS[generation]]: id, code, message });
}

/** Returns the beginning of a broadcast frame; the JSON of its instance follows. */
export function broadcastHead({ generation, id }: RequestKey, model: string, action: EventAction): string {
  const head = JSON.stringify({ type: 'broadcast', [ID_FIELDS[generation]]: id, model, action });
  return `${head.slice(0, -1)},"instance":`;
}

/** Returns the end of a broadcast frame; `cursor` is null when the client does not request cursors. */
export function broadcastTail(cursor: string | null): string {
  return cursor === null ? '}' : `,"cursor":${JSON.stringify(cursor)}}`;
}

export function isScalar(value: unknown): value is FrameId {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** Returns whether a value is true in Python, in which the original server was written. */
export function isTrue(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) {
    return Object.keys(value).length > 0;
  }
  return Boolean(value);
}

/** Returns a client's value for an error message, in Python notation like the original server, and shortened. */
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
