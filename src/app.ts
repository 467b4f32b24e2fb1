import type { AddressInfo } from 'node:net';
import { createContextFactory } from './accounts/credentials.ts';
import { startBroker } from './chat/broker/broker.ts';
import { OPEN_CHAT_WARNING, registerChatSocket } from './chat/socket.ts';
import type { Config } from './config.ts';
import type { Services } from './context.ts';
import type { DatabaseObserver } from './database/open.ts';
import { registerGraphQL } from './graphql/http.ts';
import { closeInOrder, Opened } from './host/closing.ts';
import { closeHost, createHost, registerHealth, watchUnused } from './host/host.ts';
import { registerMetrics } from './host/metrics.ts';
import { registerLegacySocket } from './legacy-socket/server.ts';
import { registerRest } from './rest/door.ts';
import { buildSchema } from './schema.ts';
import { openServices } from './services.ts';
import { Admission } from './sockets/admission.ts';
import { ConnectionLimiter } from './sockets/connection-limiter.ts';
import { UpgradeRouter } from './sockets/upgrade.ts';

export interface App {
  /** What the transports work with; for commands and tests that need none. */
  readonly services: Services;
  /** Starts to accept requests; gives the URL. */
  readonly listen: () => Promise<string>;
  /** Lets running requests end, then closes the database. Calling it again changes nothing. */
  readonly close: () => Promise<void>;
}

/** Opens the database and mounts every transport; nothing is accepted before `listen`. */
export function createApp(config: Config, observer: Omit<DatabaseObserver, 'onCommit'> = {}): Promise<App> {
  return Opened.during((opened) => createInto(opened, config, observer));
}

async function createInto(opened: Opened, config: Config, observer: Omit<DatabaseObserver, 'onCommit'>): Promise<App> {
  const http = createHost(config);
  const onFailure = (error: unknown): void => http.log.error({ err: error }, 'failure in the background');
  const { services, close: closeServices } = await openServices(config, {
    ...observer,
    onFailure,
    onWarning: (message, details) => http.log.warn(details, message),
  });
  opened.add(closeServices);
  const contextOf = createContextFactory(services, config.auth.allowAnonymous);
  registerHealth(http, services);
  registerMetrics(http, services);
  const unused = watchUnused(http);
  const upgrades = new UpgradeRouter();
  const connections = new ConnectionLimiter(config.sockets.maxPerUser);
  const admission = new Admission();
  const closeStreams = registerGraphQL(http, {
    schema: buildSchema(config.graphql),
    limits: config.graphql,
    sockets: config.sockets,
    connections,
    admission,
    contextOf,
    upgrades,
  });
  registerRest(http, { config: config.rest, contextOf });
  const socketTransport = {
    upgrades,
    contextOf,
    sockets: config.sockets,
    origins: config.http.corsOrigins,
    connections,
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

  let closing: Promise<void> | null = null;
  return {
    services,
    listen: async () => {
      await http.listen(config.listen);
      const { port } = http.server.address() as AddressInfo;
      return `http://${config.listen.host}:${port}`;
    },
    close: () => {
      closing ??= closeInOrder([
        closeStreams,
        closeLegacy,
        closeChat,
        () => closeHost(http, unused),
        async () => closeBroker?.(),
        closeServices,
      ]);
      return closing;
    },
  };
}
