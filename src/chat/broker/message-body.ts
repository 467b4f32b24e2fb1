import type { z } from 'zod';
import { ValidationError } from '../../errors.ts';
import { complexityOf } from '../../json.ts';
import { validate } from '../../validation.ts';

/** The message of another program is invalid, so that trying again is useless. The sentence is the reason that its sender or the operator receives. */
export class RejectedMessageError extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'RejectedMessageError';
  }
}

/**
 * Returns the checked values of a body. The client library has parsed it where its content type is JSON.
 *
 * @throws {RejectedMessageError} when it is not a JSON object of this schema
 */
export function readMessageBody<Values extends object>(schema: z.ZodType<Values>, body: unknown) {
  const parsed = typeof body === 'string' || Buffer.isBuffer(body) ? parseJson(body) : body;
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new RejectedMessageError('The body is not a JSON object.');
  }
  try {
    return validate(schema, parsed);
  } catch (error) {
    throw error instanceof ValidationError ? toRejectedFields(error) : error;
  }
}

/** Returns the rejection that names the invalid fields. */
export function toRejectedFields({ fields }: ValidationError): RejectedMessageError {
  return new RejectedMessageError(fields.map(({ path, message }) => `${path}: ${message}`).join(' '));
}

function parseJson(body: string | Buffer): unknown {
  try {
    const text = typeof body === 'string' ? body : new TextDecoder('utf-8', { fatal: true }).decode(body);
    return complexityOf(text) ? undefined : JSON.parse(text);
  } catch {
    throw new RejectedMessageError('The body is not JSON.');
  }
}
