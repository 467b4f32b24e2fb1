import type { FastifyRequest } from 'fastify';
import { AppError } from '../errors.ts';
import { isRecord } from '../json.ts';
import type { OperationRequest } from './persisted-operations.ts';

/** The maximum number of characters of a parameter's name in an error message. */
const MAX_SHOWN_NAME = 50;

export const JSON_TYPE = 'application/json';
/** The media type of the GraphQL over HTTP specification. */
export const RESPONSE_TYPE = 'application/graphql-response+json';

/** Has Yoga respond with the specification's media type, and its statuses, to clients that list that type first in `Accept`. */
export function preferResponseType({ raw }: FastifyRequest): void {
  if (raw.headers.accept?.trim().toLowerCase().startsWith(`${RESPONSE_TYPE},`)) {
    raw.headers.accept = RESPONSE_TYPE;
  }
}

/**
 * Returns the operation that an HTTP request asks for.
 *
 * @throws {AppError} `BAD_INPUT` when the body or the query string is malformed
 */
export function operationRequestOf({ method, body, query }: FastifyRequest): OperationRequest {
  if (method === 'POST') {
    if (!isRecord(body) || Object.keys(body).length === 0) {
      throw new AppError('BAD_INPUT', 'The body must be a JSON object with a query.');
    }
    return body;
  }
  const { variables, extensions, ...parameters } = query as Record<string, unknown>;
  const repeated = Object.entries(query as object).find(([, value]) => typeof value !== 'string')?.[0];
  if (repeated !== undefined) {
    // Yoga joins the values to a text that differs from the one that is checked here.
    throw new AppError('BAD_INPUT', `The parameter ${repeated.slice(0, MAX_SHOWN_NAME)} is given more than once.`);
  }
  return {
    ...parameters,
    variables: readJson('variables', variables),
    extensions: readJson('extensions', extensions),
  };
}

function readJson(name: string, text: unknown): unknown {
  if (text === undefined || text === '') {
    return undefined;
  }
  try {
    return JSON.parse(String(text));
  } catch {
    throw new AppError('BAD_INPUT', `The parameter ${name} is not valid JSON.`);
  }
}
