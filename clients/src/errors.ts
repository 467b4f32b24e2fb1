/** An error of a GraphQL response, as the server sends it. */
export interface ResponseError {
  readonly message: string;
  readonly path?: readonly (string | number)[] | undefined;
  readonly extensions?: Readonly<Record<string, unknown>> | undefined;
}

/** The server answered an operation with errors. */
export class OperationError extends Error {
  override readonly name = 'OperationError';
  readonly errors: readonly ResponseError[];
  /** The `extensions.code` of the first error, like `NOT_FOUND`; null for errors without one. */
  readonly code: string | null;

  constructor(errors: readonly ResponseError[]) {
    super(errors.map(({ message }) => message).join('\n') || 'The server reported an error without a message.');
    this.errors = errors;
    this.code = codeOf(errors);
  }
}

/** The credential is refused or has ended, and cannot be refreshed: the user has to sign in again. */
export class SignedOutError extends Error {
  override readonly name = 'SignedOutError';
}

/** The server closed the socket with a code after which the same operations would fail again. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
  /** The close code of the WebSocket. */
  readonly code: number;

  constructor(code: number, reason: string) {
    super(`The server closed the WebSocket with ${code}${reason && `: ${reason}`}.`);
    this.code = code;
  }
}

/** Returns the code of the first error of a response. */
export function codeOf(errors: readonly ResponseError[]): string | null {
  const code = errors[0]?.extensions?.['code'];
  return typeof code === 'string' ? code : null;
}
