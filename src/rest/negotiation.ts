import Negotiator from 'negotiator';
import { AppError, NotFoundError } from '../errors.ts';

export const JSON_TYPE = 'application/json';

const MAX_INDENT = 8;

/**
 * Checks the `format` parameter of a request, by which Django REST framework chooses the representation. There is only `json`; of several values the last one counts.
 *
 * @throws {NotFoundError} for another format
 */
export function requireJsonFormat(query: URLSearchParams): void {
  const format = query.getAll('format').at(-1) ?? '';
  if (format !== '' && format !== 'json') {
    throw new NotFoundError();
  }
}

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
