import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import type { Registry } from 'prom-client';
import { startScheduledBackups } from './backup/schedule.ts';
import type { Config } from './config/config.ts';
import type { Services } from './context.ts';
import type { DatabaseObserver } from './database/open.ts';
import { StartError } from './errors.ts';
import { registerGraphQL } from './graphql/http.ts';
import { createHostCheck, type HostCheck } from './host/allowed-hosts.ts';
import { createAddressReader } from './host/caller-address.ts';
import { createCallReader } from './host/calls.ts';
import { CleanupStack, closeInOrder, closeOnFailure } from './host/closing.ts';
import { namedOrigins } from './host/cors.ts';
import { closeGradually, type DrainConnections, Draining } from './host/draining.ts';
import { closeHost, createHost, registerHealth, trackUnusedConnections } from './host/host.ts';
import { OverloadGuard } from './host/overload.ts';
import { registerPages } from './host/pages.ts';
import { createOriginReader, type OriginOf } from './host/request-origin.ts';
import { createRequestIdReader, type RequestIdOf } from './host/request-records.ts';
import { SessionCookies } from './host/session-cookies.ts';
import { limitSlowPeers } from './host/slow-peers.ts';
import { type ContextFactory, createContextFactory } from './identity/credentials.ts';
import { registerLegacySocket } from './legacy-socket/server.ts';
import { collectMetrics } from './operations/metrics.ts';
import { type MetricsServer, serveRegistry } from './operations/metrics-server.ts';
import { openTelemetry } from './operations/open-telemetry.ts';
import { registerRest } from './rest/routes.ts';
import { buildSchema } from './schema.ts';
import { type OpenServices, openServices } from './services.ts';
import { SLICES } from './slices.ts';
import { ConcurrencyLimiter } from './sockets/concurrency-limiter.ts';
import { ConnectionLimiter } from './sockets/connection-limiter.ts';
import type { SocketTransport } from './sockets/handshake.ts';
import { PeerLimits } from './sockets/peer-limits.ts';
import { UpgradeRouter } from './sockets/upgrade.ts';
import type { Telemetry } from './telemetry.ts';

/** The maximum number of connections that wait to be accepted, within the kernel's limit; further clients retry after a second. */
const BACKLOG = 4096;

/** The share of the shutdown time-out in which WebSockets and event streams are closed. */
const MAX_DRAIN_SHARE = 0.8;

export interface App {
  /** The services behind the transports, for commands and tests that need no transport. */
  readonly services: Services;
  /** The metrics of the process. */
  readonly metrics: Registry;
  /** Returns the URL of the metrics; null while they are not served. */
  readonly metricsUrl: () => string | null;
  /** Starts to accept requests, and to serve metrics when that is configured. Returns the URL. */
  readonly listen: () => Promise<string>;
  /**
   * Reports for `DRAIN_MS` on `/ready` that the server is about to stop, then stops to accept connections, closes WebSockets and event
   * streams, waits for running requests, and closes the database. Calling it again changes nothing.
   */
  readonly close: () => Promise<void>;
}

export interface AppOptions {
  /** The log; silent when it is left out. */
  readonly logger?: Logger;
  readonly onStatement?: DatabaseObserver['onStatement'];
}

/** Opens the database and mounts all transports. No connection is accepted before `listen`. */
export function createApp(config: Config, options: AppOptions = {}): Promise<App> {
  return closeOnFailure((cleanup) => openApp(cleanup, config, options));
}

async function openApp(
  cleanup: CleanupStack,
  config: Config,
  { logger = pino({ level: 'silent' }), onStatement }: AppOptions,
): Promise<App> {
  const { telemetry, close: closeTelemetry } = await openTelemetry(config, logger);
  cleanup.add(closeTelemetry);
  const overload = new OverloadGuard(config.http.maxEventLoopDelayMs);
  cleanup.add(async () => overload.close());
  const origins = createOriginReader(config.http);
  const shared = {
    checkHost: createHostCheck(config.http, origins.hostOf),
    requestIdOf: createRequestIdReader(config.http.trustedProxies),
    telemetry,
  };
  const draining = new Draining();
  const http = createHost({ ...shared, config: config.http, logger, overload, draining });
  overload.measureConnections(http.server);
  const stopLimits = limitSlowPeers(http.server, config.http);
  cleanup.add(async () => stopLimits());
  const onFailure = (error: unknown): void => http.log.error({ err: error }, 'background task failed');
  const { services, close: closeServices } = await openServices(config, {
    ...(onStatement && { onStatement }),
    telemetry,
    onFailure,
    onWarning: (message, details) => http.log.warn(details, message),
    report: (level, message, details) => http.log[level](details, message),
  });
  cleanup.add(closeServices);
  const contextOf = createContextFactory(services, {
    sharesOwnerless: config.auth.allowAnonymous,
    answerLimits: config.graphql.answer,
  });
  registerHealth(http, services, draining);
  registerPages(http);
  const unused = trackUnusedConnections(http);
  const transports = mountTransports(http, config, { ...shared, contextOf, services, originOf: origins.originOf });
  const started = new CleanupStack();
  cleanup.add(() => started.close());
  await startBackgroundWork(started, config, { services, contextOf, logger, onFailure });
  const metrics = collectMetrics(services);
  let metricsServer: MetricsServer | null = null;
  let listening: Promise<string | null> = Promise.resolve(null);
  const startListening = async (): Promise<string> => {
    metricsServer = config.metrics && (await serveRegistry(config.metrics, metrics));
    return listen(http, config.listen);
  };
  let closing: Promise<void> | null = null;
  return {
    services,
    metrics,
    metricsUrl: () => metricsServer?.url ?? null,
    listen: () => {
      const opened = startListening();
      listening = opened;
      return opened;
    },
    close: () => {
      closing ??= closeInOrder([
        // A listener that is still being opened could not be closed.
        () => listening.catch(() => null),
        () => draining.run(http.server.listening ? config.http.drainMs : 0),
        () => closeHost(http, unused, () => closeTransports(transports, config)),
        async () => metricsServer?.close(),
        () => started.close(),
        closeServices,
        closeTelemetry,
        async () => stopLimits(),
        async () => overload.close(),
      ]);
      return closing;
    },
  };
}

interface BackgroundOptions {
  readonly services: Services;
  readonly contextOf: ContextFactory;
  readonly logger: Logger;
  readonly onFailure: (error: unknown) => void;
}

/** Starts the work of the slices that is independent of requests, and scheduled backups. */
async function startBackgroundWork(
  started: CleanupStack,
  config: Config,
  { services, contextOf, logger, onFailure }: BackgroundOptions,
): Promise<void> {
  for (const { start } of SLICES) {
    if (start) {
      started.add(await start({ config, services, contextOf, onFailure }));
    }
  }
  started.add(
    startScheduledBackups(services.database, config, {
      onBackup: (details) => logger.info(details, 'The database was backed up.'),
      onFailure,
    }),
  );
}

interface TransportOptions {
  readonly contextOf: ContextFactory;
  readonly services: Pick<OpenServices['services'], 'connectedUsers'>;
  readonly originOf: OriginOf;
  readonly checkHost: HostCheck | null;
  readonly telemetry: Telemetry;
  readonly requestIdOf: RequestIdOf;
}

/** Closes the WebSockets and event streams within a part of the shutdown time-out, which leaves the last ones the rest of it. */
function closeTransports(transports: readonly DrainConnections[], { http }: Config): Promise<void> {
  const closers = transports.flatMap((drain) => drain());
  return closeGradually(closers, Math.min(http.drainSocketsMs, http.shutdownTimeoutMs * MAX_DRAIN_SHARE));
}

/** Mounts GraphQL, REST and the WebSocket transports. */
function mountTransports(
  http: FastifyInstance,
  config: Config,
  { contextOf, services, originOf, checkHost, telemetry, requestIdOf }: TransportOptions,
): DrainConnections[] {
  const addressOf = createAddressReader(config.http.trustedProxies);
  const cookies = new SessionCookies({ originOf, origins: namedOrigins(config.http) });
  const callOf = createCallReader(cookies);
  const peers = new PeerLimits(config.sockets, addressOf, telemetry);
  const upgrades = new UpgradeRouter({ peers, checkHost, telemetry, addressOf, requestIdOf });
  const shared = {
    contextOf,
    telemetry,
    addressOf,
    cookies,
    peers,
    upgrades,
    sockets: config.sockets,
    connections: new ConnectionLimiter<number>({ perKey: config.sockets.maxPerUser }, (userId, isConnected) =>
      services.connectedUsers.set(userId, isConnected),
    ),
    startLimiter: new ConcurrencyLimiter(),
  };
  const drainGraphQL = registerGraphQL(http, {
    ...shared,
    callOf,
    schema: buildSchema(config.graphql),
    limits: config.graphql,
  });
  registerRest(http, {
    resources: SLICES.flatMap(({ rest }) => rest?.(config.rest) ?? []),
    contextOf,
    callOf,
    originOf,
    publicUrl: config.http.publicUrl,
  });
  const socketTransport: SocketTransport = {
    ...shared,
    report: (error, requestId) => http.log.error({ err: error, reqId: requestId }, 'unexpected error'),
    warn: (message) => http.log.warn(message),
  };
  const legacyModels = SLICES.flatMap(({ legacyModels }) => legacyModels ?? []);
  const drainSockets = [
    registerLegacySocket(socketTransport, legacyModels),
    ...SLICES.flatMap(({ mountSockets }) => mountSockets?.(socketTransport) ?? []),
  ];
  upgrades.attach(http.server);
  return [drainGraphQL, ...drainSockets];
}

/**
 * Starts to accept requests. Returns the URL of the server.
 *
 * @throws {StartError} when the port cannot be used
 */
async function listen(http: FastifyInstance, { host, port: configuredPort }: Config['listen']): Promise<string> {
  await http.listen({ host, port: configuredPort, backlog: BACKLOG }).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(
      `Tidings cannot listen on ${host}:${configuredPort}: ${reason}. Set PORT or HOST, or stop the program that uses the port.`,
      { cause: error },
    );
  });
  const { port } = http.server.address() as AddressInfo;
  return `http://${host}:${port}`;
}
