/**
 * The errors that are reported to callers: a stable code, a sentence that is safe to show, and the HTTP status for
 * transports that have one. Services throw {@link AppError}; each transport maps it once. Any other error is unexpected: it
 * is logged with a request id and reported as `INTERNAL`.
 */
export const ERROR_CATALOGUE = {
  BAD_INPUT: { status: 400, sentence: 'The request is not valid.' },
  VALIDATION: { status: 400, sentence: 'Some fields are not valid.' },
  BAD_CURSOR: { status: 400, sentence: 'The cursor is malformed or belongs to another order.' },
  RESYNC_REQUIRED: {
    status: 410,
    sentence: 'The changes since that cursor are not available. Load the data again and subscribe after its cursor.',
  },
  RATE_LIMITED: { status: 429, sentence: 'Too many requests. Try again later.' },
  INVALID_CREDENTIALS: { status: 400, sentence: 'Unable to log in with provided credentials.' },
  UNAUTHENTICATED: { status: 401, sentence: 'Authentication credentials were not provided.' },
  FORBIDDEN: { status: 403, sentence: 'You do not have permission to perform this action.' },
  NOT_FOUND: { status: 404, sentence: 'Not found.' },
  CONFLICT: { status: 409, sentence: 'The request conflicts with the current state.' },
  UNKNOWN_HOST: { status: 421, sentence: 'The server does not serve this host.' },
  METHOD_NOT_ALLOWED: { status: 405, sentence: 'Method not allowed.' },
  NOT_ACCEPTABLE: { status: 406, sentence: 'Could not satisfy the request Accept header.' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, sentence: 'Unsupported media type in request.' },
  IDEMPOTENCY_MISMATCH: { status: 422, sentence: 'This idempotency key was used for another request.' },
  // With the status that Apollo's servers have: its link repeats such a request with the text.
  PERSISTED_QUERY_NOT_FOUND: { status: 200, sentence: 'PersistedQueryNotFound' },
  PERSISTED_QUERY_NOT_IN_LIST: {
    status: 403,
    sentence: 'This server executes only the operations of its allow list, and this one is not among them.',
  },
  // The codes of documents are those of Apollo Server.
  GRAPHQL_PARSE_FAILED: { status: 400, sentence: 'The document has a syntax error.' },
  GRAPHQL_VALIDATION_FAILED: { status: 400, sentence: 'The document does not fit the schema.' },
  COMPLEXITY: { status: 400, sentence: 'The query exceeds a limit of the server. Ask for less at once.' },
  OVERLOADED: { status: 503, sentence: 'The server is overloaded. Try again in a moment.' },
  INTERNAL: { status: 500, sentence: 'Unexpected error' },
} as const satisfies Record<string, { status: number; sentence: string }>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** An expected error; its message is for the caller. */
export class AppError extends Error {
  readonly code: ErrorCode;
  /** The message for GraphQL clients; it differs where `message` is a sentence that REST clients depend on. */
  readonly explanation: string;

  constructor(code: ErrorCode, message: string = ERROR_CATALOGUE[code].sentence, explanation: string = message) {
    super(message);
    this.explanation = explanation;
    this.name = new.target.name;
    this.code = code;
  }

  get status(): number {
    return ERROR_CATALOGUE[this.code].status;
  }
}

/** The server cannot start; the message names the cause and how the operator can remove it. */
export class StartError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
  }
}

/** The problem of one field of an input; `path` is dotted, like `usernames.0`. */
export interface FieldProblem {
  readonly path: string;
  readonly message: string;
}

/** The maximum number of reported problems of an input. */
const MAX_FIELD_PROBLEMS = 100;

/** Fields of the input are not valid; the first ones are listed. */
export class ValidationError extends AppError {
  readonly fields: readonly FieldProblem[];

  constructor(fields: readonly FieldProblem[]) {
    super('VALIDATION');
    this.fields = fields.slice(0, MAX_FIELD_PROBLEMS);
  }
}

/** The row does not exist, or the caller may not see it. */
export class NotFoundError extends AppError {
  constructor() {
    super('NOT_FOUND');
  }
}

/** The request is valid, but conflicts with the current state. */
export class ConflictError extends AppError {
  constructor(message: string) {
    super('CONFLICT', message);
  }
}

/** The request was refused for now; it can be sent again after `retryAfterS` seconds. */
export class OverloadedError extends AppError {
  readonly retryAfterS: number;

  constructor(message: string, retryAfterS: number) {
    super('RATE_LIMITED', message);
    this.retryAfterS = retryAfterS;
  }
}

/** A username and password, or a token, that is not accepted for signing in. */
export class CredentialsError extends AppError {
  constructor(message?: string, explanation?: string) {
    super('INVALID_CREDENTIALS', message, explanation);
  }
}

/** The credential of the request is not accepted; the message says why. */
export class UnauthenticatedError extends AppError {
  constructor(message?: string, explanation?: string) {
    super('UNAUTHENTICATED', message, explanation);
  }
}
