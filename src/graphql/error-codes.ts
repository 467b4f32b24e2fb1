import { GraphQLError } from 'graphql';
import { ERROR_CATALOGUE, type ErrorCode } from '../errors.ts';

/** What each code means to a client, for the documentation of the schema. */
export const ERROR_CODE_MEANINGS: Readonly<Record<ErrorCode, string>> = {
  BAD_INPUT: 'The request is malformed, names no operation, or a variable or an argument does not fit its type.',
  VALIDATION: 'Arguments are beyond their limits; `extensions.fields` names them.',
  BAD_CURSOR: 'The cursor is malformed or belongs to another order.',
  RESYNC_REQUIRED:
    'The change log does not reach back to the cursor. Load the data again and subscribe after its `cursor`.',
  RATE_LIMITED: 'Too many requests of a kind. Try again after `extensions.retryAfter` seconds, where it is present.',
  INVALID_CREDENTIALS: 'The username with its password, or the token, is not accepted.',
  UNAUTHENTICATED: 'A credential is required, or the one that was sent is refused.',
  FORBIDDEN: 'The viewer may not do that.',
  NOT_FOUND: 'There is no such object, or the viewer may not see it.',
  CONFLICT: 'The request does not fit the current state.',
  UNKNOWN_HOST: 'The server does not serve the host that the request names.',
  METHOD_NOT_ALLOWED: 'The path does not have the HTTP method of the request.',
  NOT_ACCEPTABLE: 'The server does not produce what the `Accept` header names.',
  UNSUPPORTED_MEDIA_TYPE: 'The server does not read the `Content-Type` of the request.',
  IDEMPOTENCY_MISMATCH: 'The idempotency key was used for another request.',
  PERSISTED_QUERY_NOT_FOUND: 'The server does not have the text of the operation. Send it again with its text.',
  PERSISTED_QUERY_NOT_IN_LIST: 'The server executes only operations of its list, and this one is not among them.',
  GRAPHQL_PARSE_FAILED: 'The document has a syntax error.',
  GRAPHQL_VALIDATION_FAILED: 'The document does not fit the schema.',
  COMPLEXITY: 'The request or its response exceeds a limit of the server. Ask for less at once.',
  OVERLOADED: 'The server is overloaded. Try again later.',
  INTERNAL: 'An unexpected failure. `extensions.requestId` identifies it in the log of the server.',
};

/** Returns an error that has a code of the catalogue. graphql-js and Yoga report errors of a request without one, or with a code of their own. */
export function withCode(error: GraphQLError, code: ErrorCode = 'BAD_INPUT'): GraphQLError {
  const present = error.extensions['code'];
  if (typeof present === 'string' && Object.hasOwn(ERROR_CATALOGUE, present)) {
    return error;
  }
  const { message, nodes, source, positions, path, originalError, extensions } = error;
  return new GraphQLError(message, {
    nodes: nodes ?? null,
    source: source ?? null,
    positions: positions ?? null,
    path: path ?? null,
    originalError: originalError ?? null,
    extensions: { ...extensions, code },
  });
}
