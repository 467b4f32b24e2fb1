import { AppError } from './errors.ts';

/** The maximum number of values in a JSON text; the largest bulk mutation takes 500 ids. */
const MAX_VALUES = 10_000;

const QUOTE = '"'.charCodeAt(0);
const BACKSLASH = '\\'.charCodeAt(0);
const COMMA = ','.charCodeAt(0);
const OPEN_BRACKET = '['.charCodeAt(0);
const OPEN_BRACE = '{'.charCodeAt(0);

/**
 * Returns a `COMPLEXITY` error for a JSON text with more than {@link MAX_VALUES} values; null for any other text, JSON or
 * not. Call it before parsing: a megabyte of small values takes a hundred times as long to parse as a megabyte of text.
 */
export function complexityOf(text: string): AppError | null {
  // A text has fewer values than characters: a comma or a bracket precedes each value but the first.
  if (text.length <= MAX_VALUES) {
    return null;
  }
  let values = 1;
  let isInString = false;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit === BACKSLASH) {
      index += 1;
    } else if (unit === QUOTE) {
      isInString = !isInString;
    } else if (!isInString && (unit === COMMA || unit === OPEN_BRACKET || unit === OPEN_BRACE)) {
      values += 1;
      if (values > MAX_VALUES) {
        return new AppError('COMPLEXITY', `The JSON has more than ${MAX_VALUES} values.`);
      }
    }
  }
  return null;
}

/** Returns whether a parsed JSON value is an object, not an array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
