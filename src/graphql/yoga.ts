import type { FastifyBaseLogger } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import { createYoga, type Plugin } from 'graphql-yoga';
import type { Config } from '../config/config.ts';
import type { Context } from '../context.ts';
import type { DocumentCache } from './document-cache.ts';
import { useErrorLimits } from './error-limits.ts';
import { documentLimits } from './limits.ts';
import { useBoundedLocations } from './locations.ts';
import { maskError, type ReportUnexpectedError, useErrorCatalogue, useSyntaxErrorCode } from './mask.ts';
import { useOperationRecords } from './operation-record.ts';
import type { OperationRequest } from './persisted-operations.ts';

/** The input of Yoga for one request. */
interface ServerContext {
  /** The context of the execution. */
  readonly executionContext: Context;
  readonly operation: OperationRequest;
}

export interface YogaOptions {
  readonly endpoint: string;
  readonly schema: GraphQLSchema;
  readonly limits: Config['graphql'];
  readonly documents: DocumentCache;
  readonly report: ReportUnexpectedError;
  readonly logging: FastifyBaseLogger;
}

/** Creates the Yoga server. The host reads and limits bodies, answers preflight requests and serves GraphiQL in its place. */
export function createYogaServer({ endpoint, schema, limits, documents, report, logging }: YogaOptions) {
  return createYoga<ServerContext, Context>({
    schema,
    graphqlEndpoint: endpoint,
    context: ({ executionContext }) => executionContext,
    plugins: [
      usePersistedText(),
      useSyntaxErrorCode(),
      documents.plugin(),
      ...documentLimits(limits),
      useBoundedLocations(),
      useErrorCatalogue(report),
      useErrorLimits({ hideSuggestions: !limits.introspection }),
      useOperationRecords(),
    ],
    // `documents` caches for all transports, and is limited in bytes.
    parserAndValidationCache: false,
    maskedErrors: { maskError: (error) => maskError(error, null, report) },
    logging,
    maxRequestBodySize: false,
    cors: false,
    graphiql: false,
    landingPage: false,
    batching: false,
    multipart: false,
  });
}

/** Has Yoga, which reads the request itself, use the text of a persisted operation. */
function usePersistedText(): Plugin<Record<string, never>, ServerContext> {
  return {
    onParams: ({ params, setParams, context }) => {
      const { query } = context.operation;
      if (typeof query === 'string' && query !== params.query) {
        setParams({ ...params, query });
      }
    },
  };
}
