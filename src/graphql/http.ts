import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import { createYoga, type Plugin } from 'graphql-yoga';
import type { ContextFactory } from '../accounts/credentials.ts';
import type { Config } from '../config.ts';
import type { Context } from '../context.ts';
import { AppError } from '../errors.ts';
import type { AddressOf } from '../host/caller-address.ts';
import type { CallOf } from '../host/calls.ts';
import { OPERATIONS_OF_PAGES } from '../host/pages.ts';
import type { SessionCookies } from '../host/session-cookies.ts';
import { complexityOf } from '../json.ts';
import type { Admission } from '../sockets/admission.ts';
import type { ConnectionLimiter } from '../sockets/connection-limiter.ts';
import type { PeerLimits } from '../sockets/peer-limits.ts';
import type { UpgradeRouter } from '../sockets/upgrade.ts';
import { DirectRequests } from './direct-requests.ts';
import { Documents } from './documents.ts';
import { useErrorLimits } from './error-limits.ts';
import { EventStreams } from './event-stream.ts';
import { registerGraphiQL, wantsGraphiQL } from './graphiql.ts';
import { documentLimits } from './limits.ts';
import { useBoundedLocations } from './locations.ts';
import { presentError, useErrorCatalogue, useSyntaxErrorCode } from './mask.ts';
import { readOperationList } from './operation-list.ts';
import { type Engine, isRecord, type OperationRequest } from './operations.ts';
import { PersistedOperations } from './persisted-operations.ts';
import { sendResponse } from './responses.ts';
import { createSocketServer } from './socket.ts';

export const GRAPHQL_PATH = '/graphql';

export interface GraphQLOptions {
  readonly schema: GraphQLSchema;
  readonly limits: Config['graphql'];
  readonly sockets: Config['sockets'];
  readonly connections: ConnectionLimiter<number>;
  readonly peers: PeerLimits;
  readonly admission: Admission;
  /** Makes the context of a request; a refused credential is part of that, not a failure. */
  readonly contextOf: ContextFactory;
  readonly addressOf: AddressOf;
  readonly callOf: CallOf;
  readonly cookies: SessionCookies;
  readonly upgrades: UpgradeRouter;
}

interface ServerContext {
  readonly known: Context;
  readonly operation: OperationRequest;
}

/**
 * Mounts GraphQL over HTTP (by the GraphQL over HTTP specification), over server-sent events and over WebSocket, and GraphiQL for
 * browsers. Returns the function that ends the streams that are open.
 */
export function registerGraphQL(
  app: FastifyInstance,
  {
    schema,
    limits,
    sockets,
    connections,
    peers,
    admission,
    contextOf,
    addressOf,
    callOf,
    cookies,
    upgrades,
  }: GraphQLOptions,
): () => Promise<void> {
  const report = (error: unknown, requestId: string | null) =>
    app.log.error({ err: error, reqId: requestId }, 'unexpected failure');
  const allowed = limits.operationListPath === null ? null : readOperationList(limits.operationListPath);
  const own = readOperationList(OPERATIONS_OF_PAGES);
  const persisted = new PersistedOperations({ allowed, own, maxCharacters: limits.characterLimit });
  const documents = new Documents(schema, { maxCharacters: limits.characterLimit });
  const yoga = createYoga<ServerContext, Context>({
    schema,
    graphqlEndpoint: GRAPHQL_PATH,
    context: ({ known }) => known,
    plugins: [
      usePersistedText(),
      useSyntaxErrorCode(),
      documents.plugin(),
      ...documentLimits(limits),
      useBoundedLocations(),
      useErrorCatalogue(report),
      useErrorLimits({ hideSuggestions: !limits.introspection }),
    ],
    // The plugin remembers documents by their bytes, and once for all transports.
    parserAndValidationCache: false,
    maskedErrors: { maskError: (error) => presentError(error, null, report) },
    logging: app.log,
    // The host reads and bounds the body, answers preflights and serves GraphiQL.
    maxRequestBodySize: false,
    cors: false,
    graphiql: false,
    landingPage: false,
    batching: false,
    multipart: false,
  });
  const transport = {
    engine: () => yoga.getEnveloped() as Engine,
    persisted,
    connections,
    peers,
    admission,
    contextOf,
    addressOf,
    callOf,
    cookies,
    report,
    sockets,
    tokenLimit: limits.tokenLimit,
  };
  const { fetchAPI } = yoga;
  const direct = new DirectRequests({ ...transport, documents, fetchAPI });
  const streams = new EventStreams(transport);
  const webSockets = createSocketServer(transport);
  upgrades.add((path) => path === GRAPHQL_PATH, webSockets.server);
  const showGraphiQL = registerGraphiQL(app, GRAPHQL_PATH);

  app.register(async (scope) => {
    // Only JSON bodies: a form or plain text could be sent by any page without a preflight (CSRF).
    scope.removeContentTypeParser('text/plain');
    const parseJson = scope.getDefaultJsonParser('error', 'error');
    scope.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
      const problem = complexityOf(body);
      return problem ? done(problem) : parseJson(request, body, done);
    });
    scope.setErrorHandler<{ statusCode?: number } & Error>((error, request, reply) => {
      const status = error instanceof AppError ? error.status : (error.statusCode ?? 500);
      const expected = status < 500 && !(error instanceof AppError);
      const shown = expected ? { message: error.message } : presentError(error, request.id, report).toJSON();
      return reply.status(status).send({ errors: [shown] });
    });
    scope.route({
      url: GRAPHQL_PATH,
      method: ['GET', 'POST'],
      // HEAD would execute the operation, and open the stream, of which nothing is sent.
      exposeHeadRoute: false,
      handler: async (request, reply) => {
        if (wantsGraphiQL(request)) {
          // Clears the cookie of a session that has ended, or the page would begin with a refused request.
          await contextOf(callOf(request, reply));
          return showGraphiQL(request, reply);
        }
        const operation = persisted.resolve(operationOf(request));
        const directRequest = direct.find(request, operation);
        if (directRequest && (await direct.answer(request, reply, directRequest))) {
          return reply;
        }
        if (streams.wanted(request, operation)) {
          return streams.answer(request, reply, operation);
        }
        if (streams.subscribes(operation)) {
          throw new AppError('NOT_ACCEPTABLE', 'A subscription is answered as text/event-stream, or over WebSocket.');
        }
        preferSpecified(request);
        const known = await contextOf(callOf(request, reply));
        await sendResponse(await yoga.handleNodeRequestAndResponse(request, reply, { known, operation }), reply);
        return reply;
      },
    });
    scope.route({
      url: GRAPHQL_PATH,
      method: ['HEAD', 'PUT', 'PATCH', 'DELETE'],
      handler: (request, reply) =>
        reply
          .status(405)
          .header('allow', 'GET, POST')
          .send({ errors: [{ message: `Method "${request.method}" not allowed.` }] }),
    });
  });
  return async () => {
    streams.close();
    await webSockets.close();
  };
}

/** Has Yoga, which reads the request once more, take the text of an operation that was only named. */
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

/** How many characters of the name of a parameter an error has. */
const MAX_SHOWN_NAME = 50;

const SPECIFIED_TYPE = 'application/graphql-response+json';

/** Clients that name the specification's type first get it, with its statuses, whatever else they would take. */
function preferSpecified({ raw }: FastifyRequest): void {
  if (raw.headers.accept?.trim().toLowerCase().startsWith(`${SPECIFIED_TYPE},`)) {
    raw.headers.accept = SPECIFIED_TYPE;
  }
}

/**
 * What a request asks to be executed.
 *
 * @throws {AppError} `BAD_INPUT` when it is nothing that could be
 */
function operationOf({ method, body, query }: FastifyRequest): OperationRequest {
  if (method === 'POST') {
    if (!isRecord(body) || Object.keys(body).length === 0) {
      throw new AppError('BAD_INPUT', 'The body is a JSON object with a query.');
    }
    return body;
  }
  const { variables, extensions, ...parameters } = query as Record<string, unknown>;
  const repeated = Object.entries(query as object).find(([, value]) => typeof value !== 'string')?.[0];
  if (repeated !== undefined) {
    // Yoga would join the values to another text than the one that was checked.
    throw new AppError('BAD_INPUT', `The parameter ${repeated.slice(0, MAX_SHOWN_NAME)} is given more than once.`);
  }
  return {
    ...parameters,
    variables: readJson('variables', variables),
    extensions: readJson('extensions', extensions),
  };
}

function readJson(name: string, text: unknown): unknown {
  if (text === undefined || text === '') {
    return undefined;
  }
  try {
    return JSON.parse(String(text));
  } catch {
    throw new AppError('BAD_INPUT', `The parameter ${name} is no JSON.`);
  }
}
