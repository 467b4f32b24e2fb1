import { AppError, ValidationError } from '../errors.ts';
import { complexityOf } from '../json.ts';
import { type Charset, readCharset, unsupportedMediaType } from './charset.ts';

/** The content types of requests from the documented clients. */
export const BODY_TYPES = ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data'] as const;

/** The maximum number of form fields, which is Django's. */
const MAX_FORM_FIELDS = 1000;

/** The fields of a body, which are not validated yet. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * Parses a body by its `Content-Type`, which may name a character set. An empty body has no fields. Of repeated form fields the last one counts.
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
      return readJsonObject(bytes, stated);
    case 'application/x-www-form-urlencoded':
      return readForm(bytes, readCharset(stated));
    case 'multipart/form-data':
      // Each part begins with a line of two dashes and the boundary.
      limitFields(bytes, '\n--');
      return readMultipart(bytes, stated);
    default:
      throw unsupportedMediaType(stated);
  }
}

/**
 * Checks the number of fields by their separators.
 *
 * @throws {AppError} `COMPLEXITY` when there are too many
 */
function limitFields(body: Buffer | string, separator: string): void {
  let count = 0;
  for (let at = body.indexOf(separator); at >= 0; at = body.indexOf(separator, at + 1)) {
    count += 1;
    if (count > MAX_FORM_FIELDS) {
      throw new AppError('COMPLEXITY', `The form has more than ${MAX_FORM_FIELDS} fields.`);
    }
  }
}

/**
 * Parses a body as a JSON object, whatever its `Content-Type`, of which only the character set is used.
 *
 * @throws {AppError} `BAD_INPUT` when it is not JSON or has too many values, `UNSUPPORTED_MEDIA_TYPE` when its character set is unknown
 * @throws {ValidationError} when it is not an object
 */
export function readJsonObject(bytes: Buffer, contentType: string | undefined): Fields {
  const value = parse(bytes, readCharset(contentType));
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

function parse(bytes: Buffer, charset: Charset): unknown {
  const text = decode(bytes, charset);
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

function decode(bytes: Buffer, { isUtf8, decodeStrictly }: Charset): string {
  try {
    return decodeStrictly(bytes);
  } catch {
    throw malformed(`the body is not ${isUtf8 ? 'UTF-8' : 'in the charset of its content type'}`);
  }
}

function malformed(reason: string): AppError {
  return new AppError('BAD_INPUT', `JSON parse error - ${reason}`);
}

function readForm(bytes: Buffer, { isUtf8, decode }: Charset): Fields {
  const text = decode(bytes);
  limitFields(text, '&');
  // `URLSearchParams` takes escaped bytes for UTF-8.
  const escaped = isUtf8
    ? text
    : text.replace(/(?:%[0-9a-f]{2})+/gi, (run) =>
        encodeURIComponent(decode(Buffer.from(run.replaceAll('%', ''), 'hex')).toWellFormed()),
      );
  return Object.fromEntries(new URLSearchParams(escaped));
}

async function readMultipart(bytes: Buffer, contentType: string): Promise<Fields> {
  const { isUtf8, decode } = readCharset(contentType);
  // The parser takes all parts for UTF-8. As Latin-1 it keeps their bytes.
  const body = isUtf8 ? new Uint8Array(bytes) : bytes.toString('latin1');
  try {
    const form = await new Response(body, { headers: { 'content-type': contentType } }).formData();
    const fields = [...form].map(([name, value]) => [
      name,
      isUtf8 || typeof value !== 'string' ? value : decode(Buffer.from(value, 'latin1')),
    ]);
    return Object.fromEntries(fields);
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
