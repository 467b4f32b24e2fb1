import { type IncomingMessage, METHODS, maxHeaderSize } from 'node:http';
import type { Socket } from 'node:net';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { Config } from '../config/config.ts';
import type { Services } from '../context.ts';
import { isReady } from '../database/open.ts';
import { AppError, ERROR_CATALOGUE } from '../errors.ts';
import { addCode, type RefusalReason, type Telemetry } from '../telemetry.ts';
import type { HostCheck } from './allowed-hosts.ts';
import { trustOf } from './caller-address.ts';
import { closeInOrder } from './closing.ts';
import { registerCors } from './cors.ts';
import type { Draining } from './draining.ts';
import { HEALTH_PATHS } from './health-paths.ts';
import type { OverloadGuard } from './overload.ts';
import { wantsPage } from './page-requests.ts';
import { createNotFoundPage } from './pages.ts';
import { type RequestIdOf, recordRequests } from './request-records.ts';

/** The interval at which Node checks the time of headers, in milliseconds, and the minimum number of checks within that time. */
const CHECK_INTERVAL_MS = 1_000;
const MIN_CHECKS = 5;

/** The `Retry-After` of a request that was refused because of overload, in seconds. */
const RETRY_AFTER_S = 1;

export interface HostOptions {
  readonly config: Config['http'];
  readonly logger: FastifyBaseLogger;
  readonly telemetry: Telemetry;
  readonly requestIdOf: RequestIdOf;
  readonly overload: OverloadGuard;
  /** Null when all hosts are allowed. */
  readonly checkHost: HostCheck | null;
  readonly draining: Draining;
}

/** Creates the HTTP server of all transports. */
export function createHost(options: HostOptions): FastifyInstance {
  const { config: http, logger, telemetry, requestIdOf, overload, checkHost, draining } = options;
  const host = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: http.bodyLimitBytes,
    trustProxy: http.trustedProxies === 0 ? false : trustOf(http.trustedProxies),
    genReqId: requestIdOf,
    keepAliveTimeout: http.idleTimeoutMs,
    // Slow bodies are limited by their rate instead; see limitSlowPeers.
    requestTimeout: 0,
    http: {
      headersTimeout: http.headersTimeoutMs,
      connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, http.headersTimeoutMs / MIN_CHECKS),
    },
    forceCloseConnections: 'idle',
    // A malformed id of any length is answered as an unknown one; the size of headers limits its length.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: maxHeaderSize },
    rewriteUrl: ({ url = '/' }) => (isDecodable(url) ? url : url.replaceAll('%', '%25')),
  });
  // Without a child logger for each request, which costs more time than parsing it. Log lines pass the request id themselves.
  host.setChildLoggerFactory((logger) => logger);
  for (const method of METHODS.filter((each) => !host.supportedMethods.includes(each))) {
    host.addHttpMethod(method, { hasBody: true });
  }
  recordRequests(host, telemetry, http.trustedProxies);
  addHeaders(host, draining);
  if (checkHost) {
    refuseUnknownHosts(host, checkHost, telemetry);
  }
  registerCors(host, http);
  refuseUnderOverload(host, overload, telemetry);
  answerUnknownPaths(host);
  return host;
}

// All requests pass the hooks below: with callbacks, which cost less time than promises.

/** Adds the headers of every response. */
function addHeaders(host: FastifyInstance, draining: Draining): void {
  host.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    reply.header('x-content-type-options', 'nosniff');
    // Most responses contain data of a viewer, or a credential. Responses that are the same for all callers override it.
    reply.header('cache-control', 'no-store');
    if (draining.isDraining) {
      // A client that used the connection again could send a request at the moment at which the server closes it.
      reply.header('connection', 'close');
    }
    done();
  });
}

function refuseUnknownHosts(host: FastifyInstance, checkHost: HostCheck, telemetry: Telemetry): void {
  host.addHook('onRequest', (request, reply, done) => {
    const refusal = HEALTH_PATHS.has(request.routeOptions.url) ? null : checkHost(request.raw);
    if (refusal) {
      reportRefusal(telemetry, request, 'host', refusal);
      refuse(reply, refusal);
    } else {
      done();
    }
  });
}

/** Refuses requests of an overloaded process before their body is read, and after CORS, so that pages can read the response. */
function refuseUnderOverload(host: FastifyInstance, overload: OverloadGuard, telemetry: Telemetry): void {
  const overloaded = new AppError('OVERLOADED');
  host.addHook('preParsing', (request, reply, payload, done) => {
    if (!HEALTH_PATHS.has(request.routeOptions.url) && overload.refuses()) {
      reportRefusal(telemetry, request, 'overload', overloaded);
      refuse(reply.header('retry-after', RETRY_AFTER_S), overloaded);
    } else {
      done(null, payload);
    }
  });
}

function reportRefusal(
  telemetry: Telemetry,
  { id, record }: FastifyRequest,
  reason: RefusalReason,
  { code, message }: AppError,
): void {
  addCode(record, code);
  telemetry.report({ kind: 'refused', reason, detail: message, address: record.address, requestId: id });
}

/** Answers 404 for unknown paths before the body is read. The CORS plugin's route `*` does not count as a known path. */
function answerUnknownPaths(host: FastifyInstance): void {
  const notFound = Buffer.from(JSON.stringify({ detail: ERROR_CATALOGUE.NOT_FOUND.sentence }));
  const sendPage = createNotFoundPage();
  const answerNotFound = (request: FastifyRequest, reply: FastifyReply): FastifyReply =>
    wantsPage(request) ? sendPage(reply) : reply.status(404).header('content-type', 'application/json').send(notFound);
  host.addHook('preParsing', (request, reply, payload, done) => {
    if (request.is404 || request.routeOptions.url === '*') {
      answerNotFound(request, reply);
    } else {
      done(null, payload);
    }
  });
  host.setNotFoundHandler(answerNotFound);
}

/** Refuses a request before its route is called, with an error that clients of both REST and GraphQL can read. */
function refuse(reply: FastifyReply, { status, code, message }: AppError): void {
  const body = { detail: message, errors: [{ message, extensions: { code } }] };
  reply
    .status(status)
    .header('content-type', 'application/json')
    .send(Buffer.from(JSON.stringify(body)));
}

/** Returns whether the path of a URL is valid percent-encoded UTF-8, which the router requires. */
function isDecodable(url: string): boolean {
  if (!url.includes('%')) {
    return true;
  }
  try {
    decodeURIComponent(url.split('?', 1)[0] ?? '');
    return true;
  } catch {
    return false;
  }
}

/** Tracks the connections without any request so far, which Node does not count as idle. */
export function trackUnusedConnections({ server }: FastifyInstance): ReadonlySet<Socket> {
  const unused = new Set<Socket>();
  server.on('connection', (socket) => {
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
  });
  for (const event of ['request', 'upgrade']) {
    server.on(event, ({ socket }: IncomingMessage) => unused.delete(socket));
  }
  return unused;
}

/** The length of an iteration of the event loop in which nothing happened, and for how long one is awaited, in milliseconds. */
const QUIET_MS = 0.2;
const QUIET_TIMEOUT_MS = 200;

/** The interval at which idle connections are closed while the server stops, in milliseconds. */
const IDLE_CHECK_MS = 50;

/**
 * Waits for a short iteration of the event loop: it has just accepted the waiting connections, and those that wait when the listener is
 * closed are reset. Gives up after a while, when the server is never idle.
 */
async function untilQuiet(): Promise<void> {
  const deadline = performance.now() + QUIET_TIMEOUT_MS;
  for (let start = 0; start < deadline; ) {
    start = performance.now();
    await new Promise((resolve) => setImmediate(resolve));
    if (performance.now() - start < QUIET_MS) {
      return;
    }
  }
}

/**
 * Stops to accept connections, then calls `closeLive`, which closes the WebSockets and event streams. Resolves when these and the
 * running requests have ended.
 */
export async function closeHost(
  host: FastifyInstance,
  unused: ReadonlySet<Socket>,
  closeLive: () => Promise<void>,
): Promise<void> {
  await untilQuiet();
  const closed = new Promise((resolve) => host.server.close(resolve));
  // Otherwise connections without a request, or whose last request ends during the close, stay open for the next one.
  const timer = setInterval(() => {
    host.server.closeIdleConnections();
    for (const socket of unused) {
      socket.destroy();
    }
  }, IDLE_CHECK_MS);
  try {
    await closeInOrder([closeLive, () => closed, () => host.close()]);
  } finally {
    clearInterval(timer);
  }
}

/** Adds the health checks: whether the process runs (`/health`) and can serve requests (`/ready`). */
export function registerHealth(host: FastifyInstance, { database, feed }: Services, draining: Draining): void {
  host.get('/health', async () => ({ status: 'ok' }));
  host.get('/ready', async (_request, reply) => {
    if (draining.isDraining) {
      return reply.status(503).send({ status: 'draining', problem: 'The server is about to stop.' });
    }
    const problem = (await isReady(database)) ? feed.problem : 'The database cannot be read.';
    return problem === null ? { status: 'ok' } : reply.status(503).send({ status: 'unavailable', problem });
  });
}
