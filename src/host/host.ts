import { randomUUID } from 'node:crypto';
import { type IncomingMessage, METHODS, maxHeaderSize } from 'node:http';
import type { Socket } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyReply, LogController } from 'fastify';
import type { Config } from '../config.ts';
import type { Services } from '../context.ts';
import { isReady } from '../database/open.ts';
import { AppError, ERROR_CATALOGUE } from '../errors.ts';
import type { HostCheck } from './allowed-hosts.ts';
import { trustOf } from './caller-address.ts';
import { registerCors } from './cors.ts';
import type { OverloadGuard } from './overload.ts';

/** How often connections whose headers take too long are looked for, in milliseconds, and how often at the least within that time. */
const CHECK_INTERVAL_MS = 1_000;
const MIN_CHECKS = 5;

/** When a client that was refused since the server was overloaded may try again, in seconds. */
const RETRY_AFTER_S = 1;
/** The paths that operators look at, which are answered under any load and by any name. */
const ALWAYS_ANSWERED: ReadonlySet<string | undefined> = new Set(['/health', '/ready']);

/** Creates the HTTP server of all transports; `checkHost` is null where any host is served. */
export function createHost(
  { http, logLevel }: Config,
  overload: OverloadGuard,
  checkHost: HostCheck | null,
): FastifyInstance {
  const host = Fastify({
    logger: { level: logLevel },
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: http.bodyLimitBytes,
    trustProxy: http.trustedProxies === 0 ? false : trustOf(http.trustedProxies),
    genReqId: () => randomUUID(),
    keepAliveTimeout: http.idleTimeoutMs,
    // Instead of one time for any request, slow bodies end by their rate.
    requestTimeout: 0,
    http: {
      headersTimeout: http.headersTimeoutMs,
      connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, http.headersTimeoutMs / MIN_CHECKS),
    },
    forceCloseConnections: 'idle',
    // Text that is no id of anything is answered as an unknown one, however long: the size of headers is bounded.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: maxHeaderSize },
    rewriteUrl: ({ url = '/' }) => (isDecodable(url) ? url : url.replaceAll('%', '%25')),
  });
  // Whoever logs something of a request names its id; a logger of its own would cost each request more than its parsing.
  host.setChildLoggerFactory((logger) => logger);
  for (const method of METHODS.filter((each) => !host.supportedMethods.includes(each))) {
    host.addHttpMethod(method, { hasBody: true });
  }
  // Every request passes the hooks: with callbacks, which cost a fraction of what promises do.
  host.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    reply.header('x-content-type-options', 'nosniff');
    // Nearly every answer holds a viewer's data or a credential. What is the same for everybody overrides it.
    reply.header('cache-control', 'no-store');
    done();
  });
  if (checkHost) {
    host.addHook('onRequest', (request, reply, done) => {
      const refusal = ALWAYS_ANSWERED.has(request.routeOptions.url) ? null : checkHost(request.raw);
      if (refusal) {
        refuse(reply, refusal);
      } else {
        done();
      }
    });
  }
  registerCors(host, http);
  const notFound = Buffer.from(JSON.stringify({ detail: ERROR_CATALOGUE.NOT_FOUND.sentence }));
  const answerNotFound = (reply: FastifyReply): FastifyReply =>
    reply.status(404).header('content-type', 'application/json').send(notFound);
  const overloaded = new AppError('OVERLOADED');
  // Before the body is read and anything else is done, and after CORS, so that pages can read it.
  host.addHook('preParsing', (request, reply, payload, done) => {
    if (!ALWAYS_ANSWERED.has(request.routeOptions.url) && overload.refuses()) {
      refuse(reply.header('retry-after', RETRY_AFTER_S), overloaded);
    } else {
      done(null, payload);
    }
  });
  // Before the body: nothing that stands in it makes the path another one. The route that takes preflights of any path is none itself.
  host.addHook('preParsing', (request, reply, payload, done) => {
    if (request.is404 || request.routeOptions.url === '*') {
      answerNotFound(reply);
    } else {
      done(null, payload);
    }
  });
  host.setNotFoundHandler((_request, reply) => answerNotFound(reply));
  return host;
}

/** Answers a request that is not looked at any further: for clients of the REST paths, and for those of GraphQL. */
function refuse(reply: FastifyReply, { status, code, message }: AppError): void {
  const body = { detail: message, errors: [{ message, extensions: { code } }] };
  reply
    .status(status)
    .header('content-type', 'application/json')
    .send(Buffer.from(JSON.stringify(body)));
}

/** Whether the path of an address is percent-encoded UTF-8, as routing takes it for granted. */
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

/** Keeps track of the connections on which nothing was asked yet: those the server itself does not count as idle. */
export function watchUnused({ server }: FastifyInstance): ReadonlySet<Socket> {
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

/** How often connections that have become idle are closed while the server stops, in milliseconds. */
const IDLE_CHECK_MS = 50;

/** Lets running requests end, then closes all connections. */
export async function closeHost(host: FastifyInstance, unused: ReadonlySet<Socket>): Promise<void> {
  // A connection whose last request ends only now, or on which nothing was asked yet, would otherwise be kept open for a next one.
  const timer = setInterval(() => {
    host.server.closeIdleConnections();
    for (const socket of unused) {
      socket.destroy();
    }
  }, IDLE_CHECK_MS);
  try {
    await host.close();
  } finally {
    clearInterval(timer);
  }
}

/** Adds what tells an operator whether the process lives (`/health`) and can serve (`/ready`). */
export function registerHealth(host: FastifyInstance, { database, feed }: Services): void {
  host.get('/health', async () => ({ status: 'ok' }));
  host.get('/ready', async (_request, reply) => {
    const problem = (await isReady(database)) ? feed.problem : 'The database cannot be read.';
    return problem === null ? { status: 'ok' } : reply.status(503).send({ status: 'unavailable', problem });
  });
}
