import { GraphQLError } from 'graphql';
import { handleStreamOrSingleExecutionResult, type Plugin } from 'graphql-yoga';
import type { Context } from '../context.ts';
import { AppError, ERROR_CATALOGUE, OverloadedError, ValidationError } from '../errors.ts';
import { limitErrors } from './error-limits.ts';

/** Takes note of a failure that nobody expected. */
export type ReportDefect = (error: unknown, requestId: string | null) => void;

/**
 * What a client is told of an error: expected failures with their code, errors of GraphQL itself as they are, and of anything else
 * only that it happened, with the id under which the log tells more.
 */
export function presentError(error: unknown, requestId: string | null, report: ReportDefect): GraphQLError {
  const graphqlError = error instanceof GraphQLError ? error : null;
  const original = graphqlError ? rootCause(graphqlError) : error;
  if (original === null && graphqlError) {
    return graphqlError;
  }
  const place = {
    nodes: graphqlError?.nodes ?? null,
    source: graphqlError?.source ?? null,
    positions: graphqlError?.positions ?? null,
    path: graphqlError?.path ?? null,
  };
  if (original instanceof AppError) {
    return new GraphQLError(original.explanation, { ...place, extensions: extensionsOf(original) });
  }
  report(original, requestId);
  return new GraphQLError(ERROR_CATALOGUE.INTERNAL.sentence, {
    ...place,
    extensions: { code: 'INTERNAL', ...(requestId && { requestId }) },
  });
}

/** Whether nobody expected the error: neither GraphQL itself found a fault, nor did a service refuse. */
export function isDefect(error: GraphQLError): boolean {
  const cause = rootCause(error);
  return cause !== null && !(cause instanceof AppError);
}

/** The error that a resolver threw, or null when GraphQL itself found the fault. */
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
      // Where there are no headers, as on a WebSocket, it is all that a client learns.
      retryAfter: error.retryAfterS,
      http: { status: error.status, spec: true, headers: { 'Retry-After': String(error.retryAfterS) } },
    }),
    ...(error.code === 'UNAUTHENTICATED' && {
      http: { status: error.status, spec: true, headers: { 'WWW-Authenticate': 'Bearer realm="api"' } },
    }),
  };
}

/** Applies {@link presentError} to every result of an execution, streams included. */
export function useErrorCatalogue(report: ReportDefect): Plugin<Context> {
  return {
    onExecute: ({ args }) => ({
      onExecuteDone: (payload) =>
        handleStreamOrSingleExecutionResult(payload, ({ result, setResult }) => {
          if (result.errors) {
            const { requestId } = args.contextValue;
            const errors = limitErrors(result.errors, (error) => presentError(error, requestId, report));
            setResult({ ...result, errors });
          }
        }),
    }),
  };
}

/**
 * Marks syntax errors the same for every transport. Yoga does so for its own requests only, but remembers errors by the text of the document: one that a socket
 * or event stream met first would be another one to HTTP.
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
