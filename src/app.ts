import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { createContextFactory } from './accounts/credentials.ts';
import { startBroker } from './chat/broker/broker.ts';
import { OPEN_CHAT_WARNING, registerChatSocket } from './chat/socket.ts';
import type { Config } from './config.ts';
import type { Services } from './context.ts';
import type { DatabaseObserver } from './database/open.ts';
import { StartError } from './errors.ts';
import { registerGraphQL } from './graphql/http.ts';
import { createHostCheck } from './host/allowed-hosts.ts';
import { createAddressReader } from './host/caller-address.ts';
import { createCallReader } from './host/calls.ts';
import { closeInOrder, Opened } from './host/closing.ts';
import { namedOrigins } from './host/cors.ts';
import { closeHost, createHost, registerHealth, watchUnused } from './host/host.ts';
import { collectMetrics } from './host/metrics.ts';
import { type MetricsServer, serveMetrics } from './host/metrics-server.ts';
import { OverloadGuard } from './host/overload.ts';
import { registerPages } from './host/pages.ts';
import { createOriginReader } from './host/request-origin.ts';
import { SessionCookies } from './host/session-cookies.ts';
import { limitSlowPeers } from './host/slow-peers.ts';
import { registerLegacySocket } from './legacy-socket/server.ts';
import { registerRest } from './rest/routes.ts';
import { buildSchema } from './schema.ts';
import { openServices } from './services.ts';
import { Admission } from './sockets/admission.ts';
import { ConnectionLimiter } from './sockets/connection-limiter.ts';
import { PeerLimits } from './sockets/peer-limits.ts';
import { UpgradeRouter } from './sockets/upgrade.ts';

/** How many connections may wait to be accepted; beyond that, or what the kernel allows, clients try again after a second. */
const BACKLOG = 4096;

export interface App {
  /** What the transports work with; for commands and tests that need none. */
  readonly services: Services;
  /** What the process measures. */
  readonly metrics: Registry;
  /** Where the metrics are served, while they are. */
  readonly metricsUrl: () => string | null;
  /** Starts to accept requests, and to serve metrics where that is configured; gives the URL. */
  readonly listen: () => Promise<string>;
  /** Lets running requests end, then closes the database. Calling it again changes nothing. */
  readonly close: () => Promise<void>;
}

/** Opens the database and mounts every transport; nothing is accepted before `listen`. */
export function createApp(config: Config, observer: Omit<DatabaseObserver, 'onCommit'> = {}): Promise<App> {
  return Opened.during((opened) => createInto(opened, config, observer));
}

async function createInto(opened: Opened, config: Config, observer: Omit<DatabaseObserver, 'onCommit'>): Promise<App> {
  const overload = new OverloadGuard(config.http.maxEventLoopDelayMs);
  opened.add(async () => overload.close());
  const { hostOf, originOf } = createOriginReader(config.http);
  const checkHost = createHostCheck(config.http, hostOf);
  const http = createHost(config, overload, checkHost);
  overload.watch(http.server);
  const stopLimits = limitSlowPeers(http.server, config.http);
  opened.add(async () => stopLimits());
  const onFailure = (error: unknown): void => http.log.error({ err: error }, 'failure in the background');
  const { services, close: closeServices } = await openServices(config, {
    ...observer,
    onFailure,
    onWarning: (message, details) => http.log.warn(details, message),
  });
  opened.add(closeServices);
  const contextOf = createContextFactory(services, {
    sharesOwnerless: config.auth.allowAnonymous,
    answerLimits: config.graphql.answer,
  });
  const addressOf = createAddressReader(config.http.trustedProxies);
  const cookies = new SessionCookies({ originOf, origins: namedOrigins(config.http) });
  const callOf = createCallReader(addressOf, cookies);
  registerHealth(http, services);
  registerPages(http);
  const metrics = collectMetrics(http, services, overload);
  const unused = watchUnused(http);
  const peers = new PeerLimits(config.sockets, addressOf);
  const upgrades = new UpgradeRouter(peers, checkHost);
  const connections = new ConnectionLimiter<number>({ perKey: config.sockets.maxPerUser });
  const admission = new Admission();
  const closeStreams = registerGraphQL(http, {
    schema: buildSchema(config.graphql),
    limits: config.graphql,
    sockets: config.sockets,
    connections,
    peers,
    admission,
    contextOf,
    addressOf,
    callOf,
    cookies,
    upgrades,
  });
  registerRest(http, { config: config.rest, contextOf, callOf, originOf, publicUrl: config.http.publicUrl });
  const socketTransport = {
    upgrades,
    contextOf,
    addressOf,
    sockets: config.sockets,
    cookies,
    connections,
    peers,
    admission,
    report: (error: unknown, requestId: string | null) =>
      http.log.error({ err: error, reqId: requestId }, 'unexpected failure'),
  };
  const closeLegacy = registerLegacySocket(socketTransport);
  const closeChat = registerChatSocket(socketTransport);
  if (config.sockets.chatOpen) {
    http.log.warn(OPEN_CHAT_WARNING);
  }
  upgrades.attach(http.server);
  const closeBroker = config.broker && (await startBroker({ ...config.broker, services, contextOf, onFailure }));

  let metricsServer: MetricsServer | null = null;
  let closing: Promise<void> | null = null;
  return {
    services,
    metrics,
    metricsUrl: () => metricsServer?.url ?? null,
    listen: async () => {
      metricsServer =
        config.metrics && (await serveMetrics(config.metrics, () => metrics.metrics(), metrics.contentType));
      const { host, port: wanted } = config.listen;
      await http.listen({ host, port: wanted, backlog: BACKLOG }).catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        throw new StartError(
          `Tidings cannot listen on ${host}:${wanted}: ${reason}. Set PORT or HOST, or stop the program that has the port.`,
          { cause: error },
        );
      });
      const { port } = http.server.address() as AddressInfo;
      return `http://${config.listen.host}:${port}`;
    },
    close: () => {
      closing ??= closeInOrder([
        closeStreams,
        closeLegacy,
        closeChat,
        () => closeHost(http, unused),
        async () => metricsServer?.close(),
        async () => closeBroker?.(),
        closeServices,
        async () => {
          stopLimits();
          overload.close();
        },
      ]);
      return closing;
    },
  };
}
