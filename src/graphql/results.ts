import type { FormattedExecutionResult, GraphQLError, GraphQLFormattedError } from 'graphql';
import { limitErrors } from './error-limits.ts';

/** A result as it goes over a stream: without what its errors say to HTTP alone. */
export function forStream({ data, errors }: StreamResult): FormattedExecutionResult {
  return { ...(errors && { errors: limitErrors(errors).map(errorForStream) }), ...(data !== undefined && { data }) };
}

interface StreamResult {
  readonly data?: Record<string, unknown> | null | undefined;
  readonly errors?: readonly GraphQLError[] | undefined;
}

/** The same for one error. */
export function errorForStream(error: GraphQLError): GraphQLFormattedError {
  const { extensions, ...shown } = error.toJSON();
  const { http: _http, ...told } = extensions ?? {};
  return Object.keys(told).length === 0 ? shown : { ...shown, extensions: told };
}
