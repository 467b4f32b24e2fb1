/**
 * The failures that are reported to callers: a stable code, a sentence that is safe to show, and the HTTP status for the
 * transports that have one. Services throw {@link AppError}; each transport maps it once. Any other error is a defect: it
 * is logged with a request id and reported as `INTERNAL`.
 */
export const ERROR_CATALOGUE = {
  BAD_INPUT: { status: 400, sentence: 'The request is not valid.' },
  VALIDATION: { status: 400, sentence: 'Some fields are not valid.' },
  BAD_CURSOR: { status: 400, sentence: 'The cursor is malformed or belongs to another order.' },
  RESYNC_REQUIRED: {
    status: 410,
    sentence: 'The changes since that cursor are not to be had: load a snapshot and subscribe from its cursor.',
  },
  RATE_LIMITED: { status: 429, sentence: 'Too many at once.' },
  INVALID_CREDENTIALS: { status: 400, sentence: 'Unable to log in with provided credentials.' },
  UNAUTHENTICATED: { status: 401, sentence: 'Authentication credentials were not provided.' },
  FORBIDDEN: { status: 403, sentence: 'You do not have permission to perform this action.' },
  NOT_FOUND: { status: 404, sentence: 'Not found.' },
  CONFLICT: { status: 409, sentence: 'The request conflicts with the present state.' },
  UNKNOWN_HOST: { status: 421, sentence: 'The server does not serve this host.' },
  METHOD_NOT_ALLOWED: { status: 405, sentence: 'Method not allowed.' },
  NOT_ACCEPTABLE: { status: 406, sentence: 'Could not satisfy the request Accept header.' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, sentence: 'Unsupported media type in request.' },
  IDEMPOTENCY_MISMATCH: { status: 422, sentence: 'This idempotency key was used for another request.' },
  // With the status that Apollo's servers have: its link repeats such a request with the text.
  PERSISTED_QUERY_NOT_FOUND: { status: 200, sentence: 'PersistedQueryNotFound' },
  PERSISTED_QUERY_NOT_IN_LIST: { status: 403, sentence: 'This server executes only the operations of its list.' },
  COMPLEXITY: { status: 400, sentence: 'The query asks for too much at once.' },
  OVERLOADED: { status: 503, sentence: 'The server has too much to do. Try again in a moment.' },
  INTERNAL: { status: 500, sentence: 'Unexpected error' },
} as const satisfies Record<string, { status: number; sentence: string }>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** An expected failure; its message is meant for the caller. */
export class AppError extends Error {
  readonly code: ErrorCode;
  /** What clients of GraphQL are told, where `message` has to be the sentence that older clients know. */
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

/** The server cannot start, for a reason that the operator can change; the message says which. */
export class StartError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
  }
}

/** What is wrong with one field of an input; `path` is dotted, like `usernames.0`. */
export interface FieldProblem {
  readonly path: string;
  readonly message: string;
}

/** How many problems of an input are reported. */
const MAX_FIELD_PROBLEMS = 100;

/** The input has fields that break their limits; the first ones are named. */
export class ValidationError extends AppError {
  readonly fields: readonly FieldProblem[];

  constructor(fields: readonly FieldProblem[]) {
    super('VALIDATION');
    this.fields = fields.slice(0, MAX_FIELD_PROBLEMS);
  }
}

/** There is no such row, or the caller may not know that there is. */
export class NotFoundError extends AppError {
  constructor() {
    super('NOT_FOUND');
  }
}

/** The request is sound, but what it asks for does not fit the present state. */
export class ConflictError extends AppError {
  constructor(message: string) {
    super('CONFLICT', message);
  }
}

/** The server does not do it now; the same request may be sent again after `retryAfterS` seconds. */
export class OverloadedError extends AppError {
  readonly retryAfterS: number;

  constructor(message: string, retryAfterS: number) {
    super('RATE_LIMITED', message);
    this.retryAfterS = retryAfterS;
  }
}

/** A username and password, or a token, that nobody may sign in with. */
export class CredentialsError extends AppError {
  constructor(message?: string, explanation?: string) {
    super('INVALID_CREDENTIALS', message, explanation);
  }
}

/** A credential that was sent with the request and is not accepted; the message says why. */
export class UnauthenticatedError extends AppError {
  constructor(message?: string, explanation?: string) {
    super('UNAUTHENTICATED', message, explanation);
  }
}
