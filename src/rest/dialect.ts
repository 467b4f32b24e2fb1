import type { AppError } from '../errors.ts';
import { ValidationError } from '../errors.ts';
import { type Fields, readBody, readJsonObject } from './body.ts';

/** The formats of the bodies and responses of one of the original servers. */
export interface Dialect {
  /** Whether it follows Django REST framework: respects `Accept`, always sends `Allow`, and describes a path on `OPTIONS`. */
  readonly isDjango: boolean;
  readonly read: (bytes: Buffer, contentType: string | undefined) => Promise<Fields>;
  readonly write: (value: unknown, indent: number) => string;
  /** Converts JSON from the database to the character set of responses. */
  readonly encode: (json: string) => string;
  /** Returns the body of an error response; undefined for none. */
  readonly errorBody: (error: AppError) => unknown;
}

/** Returns the error body of all original servers: messages by field, or one `detail`. */
function defaultErrorBody(error: AppError): unknown {
  if (error.code === 'INVALID_CREDENTIALS') {
    return { non_field_errors: [error.message] };
  }
  if (!(error instanceof ValidationError)) {
    return { detail: error.message };
  }
  const problems: Record<string, string[]> = {};
  for (const { path, message } of error.fields) {
    const [name = path] = path.split('.');
    const field = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    problems[field] = [...(problems[field] ?? []), message];
  }
  return problems;
}

/** The dialect of `/auth` and `/api`: Django REST framework. */
export const DJANGO: Dialect = {
  isDjango: true,
  read: readBody,
  write: (value, indent) => JSON.stringify(value, null, indent),
  encode: unchanged,
  errorBody: defaultErrorBody,
};

/** The dialect of `/api/todos`: a plain Django view, which reads JSON whatever the content type. */
export const TODOS: Dialect = {
  isDjango: false,
  read: async (bytes, contentType) => readJsonObject(bytes, contentType),
  write: (value) => JSON.stringify(value),
  encode: unchanged,
  errorBody: (error) => (error.code === 'METHOD_NOT_ALLOWED' ? undefined : defaultErrorBody(error)),
};

/** The dialect of `/notes`: aiohttp, which reads JSON whatever the content type, and writes ASCII with an indent of 4. */
export const NOTES: Dialect = {
  isDjango: false,
  read: async (bytes, contentType) => readJsonObject(bytes, contentType),
  write: asciiJson,
  encode: toAscii,
  errorBody: (error) => (error.code === 'NOT_FOUND' ? { 'not found': 404 } : defaultErrorBody(error)),
};

const NOTES_INDENT = 4;

/** Returns JSON in the format of Python's `json.dumps(…, indent=4)`. */
function asciiJson(value: unknown): string {
  return toAscii(JSON.stringify(value, null, NOTES_INDENT));
}

function toAscii(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function unchanged(json: string): string {
  return json;
}
