import { randomUUID } from 'node:crypto';
import { type IncomingMessage, METHODS, maxHeaderSize } from 'node:http';
import type { Socket } from 'node:net';
import cors, { type FastifyCorsOptions } from '@fastify/cors';
import Fastify, { type FastifyInstance, type FastifyReply, LogController } from 'fastify';
import type { Config } from '../config.ts';
import type { Services } from '../context.ts';
import { isReady } from '../database/open.ts';
import { ERROR_CATALOGUE } from '../errors.ts';

/** How long a browser need not ask again, in seconds. */
const PREFLIGHT_LIFE_S = 600;

/** The HTTP server that every door is mounted on. */
export function createHost({ http, logLevel }: Config): FastifyInstance {
  const host = Fastify({
    logger: { level: logLevel },
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: http.bodyLimitBytes,
    trustProxy: http.trustProxy,
    genReqId: () => randomUUID(),
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
    done();
  });
  const anyOrigin = http.corsOrigins.includes('*');
  const corsOptions: FastifyCorsOptions = {
    origin: anyOrigin ? '*' : [...http.corsOrigins],
    credentials: !anyOrigin,
    methods: 'GET, HEAD, POST, PUT, PATCH, DELETE',
    exposedHeaders: 'x-request-id, link, location, allow',
    maxAge: PREFLIGHT_LIFE_S,
  };
  // Other requests with OPTIONS ask a path to describe itself.
  const withoutPreflight: FastifyCorsOptions = { ...corsOptions, preflight: false };
  host.register(cors, {
    delegator: ({ headers }, done) => {
      const isPreflight = 'origin' in headers && 'access-control-request-method' in headers;
      done(null, isPreflight ? corsOptions : withoutPreflight);
    },
  });
  const notFound = Buffer.from(JSON.stringify({ detail: ERROR_CATALOGUE.NOT_FOUND.sentence }));
  const answerNotFound = (reply: FastifyReply): FastifyReply =>
    reply.status(404).header('content-type', 'application/json').send(notFound);
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
