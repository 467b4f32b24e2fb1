import { isLosslessNumber, LosslessNumber, parse } from 'lossless-json';
import type { EventAction } from '../changes/filter.ts';
import { AppError } from '../errors.ts';
import { isRecord } from '../json.ts';

/** A value of a frame. A number that JavaScript would write in another way, like `1.0`, keeps the text of the client. */
export type Scalar = string | number | boolean | LosslessNumber;

/** The id that a client gives to a subscription; it is sent back unchanged. */
export type FrameId = Scalar;

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

/** What a number looks like that JavaScript may write in another way: with a fraction, an exponent, or more digits than it keeps. */
const INEXACT_NUMBER = /\d(?:[.eE]|\d{15})/;

/** Parses a frame; null when it is not a JSON object. */
export function readFrame(text: string): Frame | null {
  try {
    const value: unknown = JSON.parse(text);
    if (!isRecord(value)) {
      return null;
    }
    return INEXACT_NUMBER.test(text) ? (parse(text, null, LOSSLESS) as Frame) : value;
  } catch {
    return null;
  }
}

const LOSSLESS = {
  parseNumber: (text: string): number | LosslessNumber => {
    const value = Number(text);
    return String(value) === text ? value : new LosslessNumber(text);
  },
  // Of repeated names the last one counts, as with JSON.parse.
  onDuplicateKey: ({ newValue }: { readonly newValue: unknown }): unknown => newValue,
};

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
  if (String(id).length > MAX_ID_LENGTH) {
    throw new AppError('BAD_INPUT', `\`${field}\` has more than ${MAX_ID_LENGTH} characters.`);
  }
  return id;
}

/** Returns an id as the client wrote it in JSON. */
export function jsonOfId(id: FrameId | null): string {
  return isLosslessNumber(id) ? id.value : JSON.stringify(id);
}

/** Returns an error frame. */
export function errorFrame(
  { generation, id }: { generation: Generation; id: FrameId | null },
  code: number,
  message: string,
): string {
  return `{"type":"error","${ID_FIELDS[generation]}":${jsonOfId(id)},"code":${code},"message":${JSON.stringify(message)}}`;
}

/** Returns the beginning of a broadcast frame; the JSON of its instance follows. */
export function broadcastHead({ generation, id }: RequestKey, model: string, action: EventAction): string {
  return `{"type":"broadcast","${ID_FIELDS[generation]}":${jsonOfId(id)},"model":${JSON.stringify(model)},"action":"${action}","instance":`;
}

/** Returns the end of a broadcast frame; `cursor` is null when the client does not request cursors. */
export function broadcastTail(cursor: string | null): string {
  return cursor === null ? '}' : `,"cursor":${JSON.stringify(cursor)}}`;
}

export function isScalar(value: unknown): value is Scalar {
  return (
    typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || isLosslessNumber(value)
  );
}

/** Returns whether a value is true in Python, in which the original server was written. */
export function isTrue(value: unknown): boolean {
  if (isLosslessNumber(value)) {
    return Number(value.value) !== 0;
  }
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
  if (typeof value === 'object' && !isLosslessNumber(value)) {
    return Array.isArray(value) ? '[…]' : '{…}';
  }
  const text = String(value);
  return text.length > MAX_QUOTE ? `${text.slice(0, MAX_QUOTE)}…` : text;
}
