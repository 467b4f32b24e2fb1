import Negotiator from 'negotiator';
import { AppError } from '../errors.ts';

export const JSON_TYPE = 'application/json';

const MAX_INDENT = 8;

/**
 * How far the JSON of an answer is to be indented, by the `Accept` header (`application/json; indent=4`); 0 is compact.
 *
 * @throws {AppError} `NOT_ACCEPTABLE` when the client takes no JSON
 */
export function negotiateIndent(accept: string | undefined): number {
  // Parameters say how to write it, not what: only their weights count here.
  const types = accept?.replace(/;(?!\s*q=)[^;,]*/gi, '');
  if (new Negotiator({ headers: { accept: types } }).mediaType([JSON_TYPE]) === undefined) {
    throw new AppError('NOT_ACCEPTABLE');
  }
  const [, indent = '0'] = /application\/json[^,]*;\s*indent=(\d{1,3})/i.exec(accept ?? '') ?? [];
  return Math.min(Number(indent), MAX_INDENT);
}
