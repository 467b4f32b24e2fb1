import { AppError } from './errors.ts';

/** More values than any request has a use for: a bulk mutation takes 500 ids. */
const MAX_VALUES = 10_000;

const QUOTE = '"'.charCodeAt(0);
const BACKSLASH = '\\'.charCodeAt(0);
const COMMA = ','.charCodeAt(0);
const OPEN_BRACKET = '['.charCodeAt(0);
const OPEN_BRACE = '{'.charCodeAt(0);

/**
 * The `COMPLEXITY` of a JSON text that has more than {@link MAX_VALUES} values; null of any other text, JSON or not. For a text that is not parsed yet: a
 * megabyte of small values takes a hundred times as long to parse as a megabyte of text.
 */
export function complexityOf(text: string): AppError | null {
  // Every value but the first has a comma or a bracket before it.
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
