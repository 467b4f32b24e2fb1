import Negotiator from 'negotiator';
import { AppError } from '../errors.ts';

export const JSON_TYPE = 'application/json';

const MAX_INDENT = 8;

/**
 * Returns the indent of the JSON in a response, from the `Accept` header (`application/json; indent=4`); 0 for compact.
 *
 * @throws {AppError} `NOT_ACCEPTABLE` when the client does not accept JSON
 */
export function negotiateIndent(accept: string | undefined): number {
  // Without the parameters other than weights, which Negotiator compares with those of the media type.
  const types = accept?.replace(/;(?!\s*q=)[^;,]*/gi, '');
  if (new Negotiator({ headers: { accept: types } }).mediaType([JSON_TYPE]) === undefined) {
    throw new AppError('NOT_ACCEPTABLE');
  }
  const [, indent = '0'] = /application\/json[^,]*;\s*indent=(\d{1,3})/i.exec(accept ?? '') ?? [];
  return Math.min(Number(indent), MAX_INDENT);
}
