import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocketServer } from 'ws';
import type { HostCheck } from '../host/allowed-hosts.ts';
import type { AddressOf } from '../host/caller-address.ts';
import type { RequestIdOf } from '../host/request-records.ts';
import type { RefusalReason, Telemetry } from '../telemetry.ts';
import { recordConnection } from './connection-records.ts';
import { type PeerLimits, RETRY_AFTER_S } from './peer-limits.ts';

interface Route {
  /** The protocol, as the log and the metrics name it. */
  readonly protocol: string;
  readonly matches: (path: string) => boolean;
  readonly server: WebSocketServer;
}

export interface UpgradeOptions {
  readonly peers: PeerLimits;
  /** Null when all hosts are allowed. */
  readonly checkHost: HostCheck | null;
  readonly telemetry: Telemetry;
  readonly addressOf: AddressOf;
  readonly requestIdOf: RequestIdOf;
}

/**
 * Passes upgrade requests to the WebSocket server of their path. It refuses requests for unknown hosts with 421, for unknown
 * paths with 404, and those beyond the limits of the address or the process with 503, before the WebSocket handshake.
 */
export class UpgradeRouter {
  readonly #routes: Route[] = [];
  readonly #options: UpgradeOptions;

  constructor(options: UpgradeOptions) {
    this.#options = options;
  }

  /** Adds a server for all paths that match, which are passed without a trailing slash. */
  add(route: Route): void {
    this.#routes.push(route);
  }

  /** Starts to answer the upgrade requests of an HTTP server. */
  attach(http: Server): void {
    http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const { peers, checkHost, telemetry, addressOf, requestIdOf } = this.#options;
      const unknownHost = checkHost?.(request);
      if (unknownHost) {
        this.#reportRefusal(request, 'host', unknownHost.message);
        refuse(socket, `${unknownHost.status} Misdirected Request`, unknownHost.message);
        return;
      }
      const [path = '/'] = (request.url ?? '/').split('?');
      const trimmed = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
      const route = this.#routes.find(({ matches }) => matches(trimmed));
      if (!route) {
        refuse(socket, '404 Not Found');
        return;
      }
      const release = peers.acquireConnection(request);
      if (!release) {
        refuse(socket, `503 Service Unavailable\r\nRetry-After: ${RETRY_AFTER_S}`);
        return;
      }
      socket.once('close', release);
      route.server.handleUpgrade(request, socket, head, (webSocket) => {
        const { protocol, server } = route;
        const record = { id: requestIdOf(request), protocol, address: addressOf(request) };
        recordConnection(telemetry, { request, socket: webSocket }, record);
        server.emit('connection', webSocket, request);
      });
    });
  }

  #reportRefusal(request: IncomingMessage, reason: RefusalReason, detail: string): void {
    const { telemetry, addressOf } = this.#options;
    telemetry.report({ kind: 'refused', reason, detail, address: addressOf(request) });
  }
}

function refuse(socket: Duplex, status: string, sentence = ''): void {
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  const head = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8`;
  socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(sentence)}\r\n\r\n${sentence}`);
}
