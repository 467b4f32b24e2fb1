import type { FormattedExecutionResult, GraphQLError, GraphQLFormattedError } from 'graphql';
import { limitErrors } from './error-limits.ts';

/** Returns a result as sockets and event streams send it: its errors without the `http` extension, which is for HTTP responses. */
export function formatResult({ data, errors }: StreamResult): FormattedExecutionResult {
  return { ...(errors && { errors: limitErrors(errors).map(formatError) }), ...(data !== undefined && { data }) };
}

interface StreamResult {
  readonly data?: Record<string, unknown> | null | undefined;
  readonly errors?: readonly GraphQLError[] | undefined;
}

/** Returns an error without the `http` extension. */
export function formatError(error: GraphQLError): GraphQLFormattedError {
  const { extensions, ...shown } = error.toJSON();
  const { http: _http, ...others } = extensions ?? {};
  return Object.keys(others).length === 0 ? shown : { ...shown, extensions: others };
}
