import { OperationError } from './errors.ts';
import { requestOverHttp } from './http-request.ts';
import type { SessionOptions } from './session.ts';

/** The result of a mutation that expects a wrong credential. */
interface Outcome {
  readonly __typename: string;
  readonly message?: string;
}

/** The code of an {@link OperationError} for a wrong username or password. */
const WRONG_CREDENTIALS = 'CREDENTIALS';

/** Sends a mutation of a session and returns its result. Throws an {@link OperationError} for a `CredentialsError`. */
export async function sessionRequest<Result extends Outcome>(
  { url, fetch: send = fetch }: Pick<SessionOptions, 'url' | 'fetch'>,
  query: string,
  variables: Record<string, unknown>,
  init: RequestInit = {},
): Promise<Result> {
  const withInit: typeof fetch = (input, each) => {
    const headers = { ...(each?.headers as Record<string, string>), ...(init.headers as Record<string, string>) };
    return send(input, { ...each, ...init, headers });
  };
  const data = await requestOverHttp(withInit, url, { query, variables });
  const [result] = Object.values(data);
  const outcome = result as Result;
  if (outcome?.__typename === 'CredentialsError') {
    throw new OperationError([
      { message: outcome.message ?? 'The credentials are not accepted.', extensions: { code: WRONG_CREDENTIALS } },
    ]);
  }
  return outcome;
}

/** Whether a request failed since the server does not accept the password or token, rather than since it was not reached. */
export function isRefusal(error: unknown): boolean {
  return error instanceof OperationError && (error.code === WRONG_CREDENTIALS || error.code === 'UNAUTHENTICATED');
}
