import { GraphQLError } from 'graphql';
import { handleStreamOrSingleExecutionResult, type Plugin } from 'graphql-yoga';
import type { Context } from '../context.ts';
import { AppError, ERROR_CATALOGUE, OverloadedError, ValidationError } from '../errors.ts';
import { withCode } from './error-codes.ts';
import { limitErrors } from './error-limits.ts';

/** Logs an unexpected error with the id of its request. */
export type ReportUnexpectedError = (error: unknown, requestId: string | null) => void;

/**
 * Returns an error as clients receive it: an {@link AppError} with its code, an error of graphql-js as `BAD_INPUT` unless it has a code, and any other
 * as `INTERNAL` with the request id, under which the log has the details.
 */
export function maskError(error: unknown, requestId: string | null, report: ReportUnexpectedError): GraphQLError {
  const graphqlError = error instanceof GraphQLError ? error : null;
  const original = graphqlError ? rootCause(graphqlError) : error;
  if (original === null && graphqlError) {
    return withCode(graphqlError);
  }
  const location = {
    nodes: graphqlError?.nodes ?? null,
    source: graphqlError?.source ?? null,
    positions: graphqlError?.positions ?? null,
    path: graphqlError?.path ?? null,
  };
  if (original instanceof AppError) {
    return new GraphQLError(original.explanation, { ...location, extensions: extensionsOf(original) });
  }
  report(original, requestId);
  return new GraphQLError(ERROR_CATALOGUE.INTERNAL.sentence, {
    ...location,
    extensions: { code: 'INTERNAL', ...(requestId && { requestId }) },
  });
}

/** Returns whether an error comes from a defect: neither graphql-js nor a service reported it. */
export function isUnexpectedError(error: GraphQLError): boolean {
  const cause = rootCause(error);
  return cause !== null && !(cause instanceof AppError);
}

/** Returns the error that a resolver threw; null for an error of graphql-js itself. */
function rootCause(error: GraphQLError): unknown {
  const cause = error.originalError;
  if (cause == null) {
    return null;
  }
  return cause instanceof GraphQLError ? rootCause(cause) : cause;
}

function extensionsOf(error: AppError): Record<string, unknown> {
  return {
    code: error.code,
    ...(error instanceof ValidationError && { fields: error.fields }),
    ...(error instanceof OverloadedError && {
      // For transports without response headers, like WebSocket.
      retryAfter: error.retryAfterS,
      http: { status: error.status, spec: true, headers: { 'Retry-After': String(error.retryAfterS) } },
    }),
    ...(error.code === 'UNAUTHENTICATED' && {
      http: { status: error.status, spec: true, headers: { 'WWW-Authenticate': 'Bearer realm="api"' } },
    }),
  };
}

/** Applies {@link maskError} to every result of an execution, streams included. */
export function useErrorCatalogue(report: ReportUnexpectedError): Plugin<Context> {
  return {
    onExecute: ({ args }) => ({
      onExecuteDone: (payload) =>
        handleStreamOrSingleExecutionResult(payload, ({ result, setResult }) => {
          if (result.errors) {
            const { requestId } = args.contextValue;
            const errors = limitErrors(result.errors, (error) => maskError(error, requestId, report));
            setResult({ ...result, errors });
          }
        }),
    }),
  };
}

/**
 * Adds the code of syntax errors, for all transports. Yoga adds it for HTTP requests only, but the error is cached: without
 * this, the response to an HTTP request would depend on whether a socket has sent the document before.
 */
export function useSyntaxErrorCode(): Plugin<Context> {
  return {
    onParse:
      () =>
      ({ result }) => {
        if (result instanceof GraphQLError && result.extensions['code'] === undefined) {
          Object.assign(result.extensions, { code: 'GRAPHQL_PARSE_FAILED', http: { spec: true, status: 400 } });
        }
      },
  };
}
