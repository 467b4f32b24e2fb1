/**
 * The catalogue of the failures that a caller may be told about: a stable code, a sentence that is safe to show, and
 * the HTTP status of the doors that speak in statuses. Services throw {@link AppError}; each door maps it once. Anything
 * else that is thrown is a defect: it is logged with a request id and shown as `INTERNAL`.
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
  METHOD_NOT_ALLOWED: { status: 405, sentence: 'Method not allowed.' },
  NOT_ACCEPTABLE: { status: 406, sentence: 'Could not satisfy the request Accept header.' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, sentence: 'Unsupported media type in request.' },
  IDEMPOTENCY_MISMATCH: { status: 422, sentence: 'This idempotency key was used for another request.' },
  COMPLEXITY: { status: 400, sentence: 'The query asks for too much at once.' },
  INTERNAL: { status: 500, sentence: 'Unexpected error' },
} as const satisfies Record<string, { status: number; sentence: string }>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** An expected failure; its message is meant for the caller. */
export class AppError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string = ERROR_CATALOGUE[code].sentence) {
    super(message);
    this.name = new.target.name;
    this.code = code;
  }

  get status(): number {
    return ERROR_CATALOGUE[this.code].status;
  }
}

/** What is wrong with one field of an input; `path` is dotted, like `usernames.0`. */
export interface FieldProblem {
  readonly path: string;
  readonly message: string;
}

/** The input has fields that break their limits; every one of them is named. */
export class ValidationError extends AppError {
  readonly fields: readonly FieldProblem[];

  constructor(fields: readonly FieldProblem[]) {
    super('VALIDATION');
    this.fields = fields;
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

/** The server cannot do it now, and could a little later. */
export class OverloadedError extends AppError {
  readonly retryAfterS: number;

  constructor(message: string, retryAfterS: number) {
    super('RATE_LIMITED', message);
    this.retryAfterS = retryAfterS;
  }
}

/** A username and password, or a token, that nobody may sign in with. */
export class CredentialsError extends AppError {
  constructor(message?: string) {
    super('INVALID_CREDENTIALS', message);
  }
}

/** A credential that was sent with the request and is not accepted; the message says why. */
export class UnauthenticatedError extends AppError {
  constructor(message?: string) {
    super('UNAUTHENTICATED', message);
  }
}
