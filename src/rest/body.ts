import { AppError, ValidationError } from '../errors.ts';
import { complexityOf } from '../json.ts';

/** The content types of requests from the documented clients. */
export const BODY_TYPES = ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data'] as const;

/** The maximum number of form fields, which is Django's. */
const MAX_FORM_FIELDS = 1000;
/** The maximum number of characters of a content type in an error message. */
const MAX_QUOTE = 100;

/** The fields of a body, which are not validated yet. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * Parses a body by its `Content-Type`. An empty body has no fields. Of repeated form fields the last one counts.
 *
 * @throws {AppError} `UNSUPPORTED_MEDIA_TYPE`, `COMPLEXITY` when it has too many fields, or `BAD_INPUT` when it is malformed
 * @throws {ValidationError} when it is JSON, but not an object
 */
export async function readBody(bytes: Buffer, contentType: string | undefined): Promise<Fields> {
  if (bytes.length === 0) {
    return {};
  }
  // The original server's default for a missing header.
  const stated = contentType ?? 'text/plain';
  const type = stated.split(';')[0]?.trim().toLowerCase();
  switch (type) {
    case 'application/json':
      return readJsonObject(bytes);
    case 'application/x-www-form-urlencoded':
      limitFields(bytes, '&');
      return Object.fromEntries(new URLSearchParams(bytes.toString('utf8')));
    case 'multipart/form-data':
      // Each part begins with a line of two dashes and the boundary.
      limitFields(bytes, '\n--');
      return readMultipart(bytes, stated);
    default:
      throw new AppError(
        'UNSUPPORTED_MEDIA_TYPE',
        `Unsupported media type "${stated.slice(0, MAX_QUOTE)}" in request.`,
      );
  }
}

/**
 * Checks the number of fields by their separators.
 *
 * @throws {AppError} `COMPLEXITY` when there are too many
 */
function limitFields(bytes: Buffer, separator: string): void {
  let count = 0;
  for (let at = bytes.indexOf(separator); at >= 0; at = bytes.indexOf(separator, at + 1)) {
    count += 1;
    if (count > MAX_FORM_FIELDS) {
      throw new AppError('COMPLEXITY', `The form has more than ${MAX_FORM_FIELDS} fields.`);
    }
  }
}

/**
 * Parses a body as a JSON object, whatever its `Content-Type`.
 *
 * @throws {AppError} `BAD_INPUT` when it is not JSON or has too many values
 * @throws {ValidationError} when it is not an object
 */
export function readJsonObject(bytes: Buffer): Fields {
  const value = parse(bytes);
  if (value === null) {
    throw nonField('No data provided');
  }
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw nonField(`Invalid data. Expected a dictionary, but got ${pythonTypeOf(value)}.`);
  }
  return value as Fields;
}

/** Returns the error of a body as a whole. */
export function nonField(message: string): ValidationError {
  return new ValidationError([{ path: 'non_field_errors', message }]);
}

function parse(bytes: Buffer): unknown {
  const text = decode(bytes);
  const problem = complexityOf(text);
  if (problem) {
    throw malformed(problem.message);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : '');
  }
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw malformed('the body is not UTF-8');
  }
}

function malformed(reason: string): AppError {
  return new AppError('BAD_INPUT', `JSON parse error - ${reason}`);
}

async function readMultipart(bytes: Buffer, contentType: string): Promise<Fields> {
  try {
    const form = await new Response(new Uint8Array(bytes), { headers: { 'content-type': contentType } }).formData();
    return Object.fromEntries(form);
  } catch {
    throw new AppError('BAD_INPUT', 'Multipart form parse error - the body does not match its boundary.');
  }
}

function pythonTypeOf(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return 'str';
    case 'boolean':
      return 'bool';
    case 'number':
      return Number.isInteger(value) ? 'int' : 'float';
    default:
      return 'list';
  }
}
