import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import type { Config } from '../config/config.ts';
import { AppError } from '../errors.ts';
import type { AddressOf } from '../host/caller-address.ts';
import type { CallOf } from '../host/calls.ts';
import type { DrainConnections } from '../host/draining.ts';
import { wantsPage } from '../host/page-requests.ts';
import { OPERATIONS_OF_PAGES } from '../host/pages.ts';
import type { SessionCookies } from '../host/session-cookies.ts';
import type { ContextFactory } from '../identity/credentials.ts';
import { complexityOf } from '../json.ts';
import type { ConcurrencyLimiter } from '../sockets/concurrency-limiter.ts';
import type { ConnectionLimiter } from '../sockets/connection-limiter.ts';
import type { PeerLimits } from '../sockets/peer-limits.ts';
import type { UpgradeRouter } from '../sockets/upgrade.ts';
import { addCode, type Telemetry } from '../telemetry.ts';
import { DirectRequests } from './direct-requests.ts';
import { DocumentCache } from './document-cache.ts';
import { registerGraphiQL } from './graphiql.ts';
import { maskError, type ReportUnexpectedError } from './mask.ts';
import type { GraphQLEngine } from './operation-args.ts';
import { readOperationList } from './operation-list.ts';
import { PersistedOperations } from './persisted-operations.ts';
import { JSON_TYPE, operationRequestOf, preferResponseType } from './requests.ts';
import { sendResponse } from './responses.ts';
import { createSocketServer } from './socket.ts';
import { SseTransport } from './sse.ts';
import { createYogaServer } from './yoga.ts';

export const GRAPHQL_PATH = '/graphql';

export interface GraphQLOptions {
  readonly schema: GraphQLSchema;
  readonly limits: Config['graphql'];
  readonly sockets: Config['sockets'];
  readonly connections: ConnectionLimiter<number>;
  readonly peers: PeerLimits;
  readonly startLimiter: ConcurrencyLimiter;
  /** Creates the context of a request; a refused credential is part of the context. */
  readonly contextOf: ContextFactory;
  readonly addressOf: AddressOf;
  readonly callOf: CallOf;
  readonly cookies: SessionCookies;
  readonly upgrades: UpgradeRouter;
  readonly telemetry: Telemetry;
}

/** A handler of the requests to the GraphQL path. */
type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

/**
 * Mounts GraphQL over HTTP (by the GraphQL over HTTP specification), over server-sent events and over WebSocket, and
 * GraphiQL.
 */
export function registerGraphQL(app: FastifyInstance, options: GraphQLOptions): DrainConnections {
  const { schema, limits, upgrades, contextOf, callOf } = options;
  const report: ReportUnexpectedError = (error, requestId) =>
    app.log.error({ err: error, reqId: requestId }, 'unexpected error');
  const persisted = new PersistedOperations({
    allowed: limits.operationListPath === null ? null : readOperationList(limits.operationListPath),
    own: readOperationList(OPERATIONS_OF_PAGES),
    maxCharacters: limits.characterLimit,
  });
  const documents = new DocumentCache(schema, { maxCharacters: limits.characterLimit });
  options.telemetry.addGauge({
    name: 'tidings_document_cache_lookups_total',
    help: 'GraphQL documents that were looked up in the cache of parsed and validated documents, by outcome.',
    label: 'outcome',
    isTotal: true,
    read: () => documents.counts,
  });
  const yoga = createYogaServer({ endpoint: GRAPHQL_PATH, schema, limits, documents, report, logging: app.log });
  const engine = () => yoga.getEnveloped() as GraphQLEngine;
  const transport = { ...options, engine, persisted, report, tokenLimit: limits.tokenLimit };
  const direct = new DirectRequests({ ...transport, documents, fetchAPI: yoga.fetchAPI });
  const sse = new SseTransport(transport);
  const webSockets = createSocketServer(transport);
  upgrades.add({ protocol: 'graphql-ws', matches: (path) => path === GRAPHQL_PATH, server: webSockets.server });
  const sendGraphiQL = registerGraphiQL(app, GRAPHQL_PATH);

  registerRoutes(app, report, async (request, reply) => {
    if (wantsPage(request)) {
      // Clears the cookie of a session that has ended; otherwise the first request of the page is refused.
      await contextOf(callOf(request, reply));
      return sendGraphiQL(reply);
    }
    const operation = persisted.resolve(operationRequestOf(request));
    const directRequest = direct.find(request, operation);
    if (directRequest && (await direct.answer(request, reply, directRequest))) {
      return reply;
    }
    if (sse.accepts(request, operation)) {
      return sse.answer(request, reply, operation);
    }
    if (sse.isSubscription(operation)) {
      throw new AppError(
        'NOT_ACCEPTABLE',
        'A subscription needs the header Accept: text/event-stream, or a WebSocket.',
      );
    }
    preferResponseType(request);
    const executionContext = await contextOf(callOf(request, reply));
    const response = await yoga.handleNodeRequestAndResponse(request, reply, { executionContext, operation });
    await sendResponse(response, reply);
    return reply;
  });
  return () => [...sse.drain(), ...webSockets.drain()];
}

/** Adds the routes of the GraphQL path: `handle` for GET, POST and a HEAD request for the page, 405 for other methods. */
function registerRoutes(app: FastifyInstance, report: ReportUnexpectedError, handle: Handler): void {
  app.register(async (scope) => {
    // JSON only: a page of any origin can send a form or plain text without a preflight request (CSRF).
    scope.removeContentTypeParser('text/plain');
    const parseJson = scope.getDefaultJsonParser('error', 'error');
    scope.addContentTypeParser<string>(JSON_TYPE, { parseAs: 'string' }, (request, body, done) => {
      const problem = complexityOf(body);
      return problem ? done(problem) : parseJson(request, body, done);
    });
    scope.setErrorHandler<{ statusCode?: number } & Error>((error, request, reply) => {
      const status = error instanceof AppError ? error.status : (error.statusCode ?? 500);
      const isHostError = status < 500 && !(error instanceof AppError);
      const shown = isHostError
        ? { message: error.message, extensions: { code: 'BAD_INPUT' } }
        : maskError(error, request.id, report).toJSON();
      addCode(request.record, isHostError ? 'BAD_INPUT' : String(shown.extensions?.['code']));
      return reply.status(status).send({ errors: [shown] });
    });
    scope.route({
      url: GRAPHQL_PATH,
      method: ['GET', 'POST'],
      // A HEAD request would execute the operation, or open an event stream, without a response body.
      exposeHeadRoute: false,
      handler: handle,
    });
    scope.route({
      url: GRAPHQL_PATH,
      method: ['HEAD', 'PUT', 'PATCH', 'DELETE'],
      handler: (request, reply) =>
        wantsPage(request)
          ? handle(request, reply)
          : reply
              .status(405)
              .header('allow', 'GET, POST')
              .send({
                errors: [
                  { message: `Method "${request.method}" not allowed.`, extensions: { code: 'METHOD_NOT_ALLOWED' } },
                ],
              }),
    });
  });
}
