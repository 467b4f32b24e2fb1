import type { AppError } from '../errors.ts';
import { ValidationError } from '../errors.ts';
import { type Fields, readBody, readJsonObject } from './body.ts';

/** How the documented paths of one original read bodies and write answers. */
export interface Dialect {
  /** Whether it heeds `Accept`, sends `Allow` with every answer and describes itself to `OPTIONS`, as Django REST framework does. */
  readonly describes: boolean;
  readonly read: (bytes: Buffer, contentType: string | undefined) => Promise<Fields>;
  readonly write: (value: unknown, indent: number) => string;
  /** What is done to JSON before it is sent. */
  readonly encode: (json: string) => string;
  /** The body of a failure; undefined for none. */
  readonly failure: (error: AppError) => unknown;
}

/** Problems by field, or one sentence: how all of the originals told of failures. */
function problemBody(error: AppError): unknown {
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

/** `/auth` and `/api`, which were Django REST framework's. */
export const DJANGO: Dialect = {
  describes: true,
  read: readBody,
  write: (value, indent) => JSON.stringify(value, null, indent),
  encode: asItIs,
  failure: problemBody,
};

/** `/api/todos`: a view of its own, JSON whatever the content type says. */
export const TODOS: Dialect = {
  describes: false,
  read: async (bytes) => readJsonObject(bytes),
  write: (value) => JSON.stringify(value),
  encode: asItIs,
  failure: (error) => (error.code === 'METHOD_NOT_ALLOWED' ? undefined : problemBody(error)),
};

/** `/notes`, which was aiohttp's: JSON whatever the content type says, indented by 4, in ASCII. */
export const NOTES: Dialect = {
  describes: false,
  read: async (bytes) => readJsonObject(bytes),
  write: asciiJson,
  encode: inAscii,
  failure: (error) => (error.code === 'NOT_FOUND' ? { 'not found': 404 } : problemBody(error)),
};

const NOTES_INDENT = 4;

/** JSON as Python's `json.dumps(…, indent=4)` writes it. */
export function asciiJson(value: unknown): string {
  return inAscii(JSON.stringify(value, null, NOTES_INDENT));
}

function inAscii(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function asItIs(json: string): string {
  return json;
}
