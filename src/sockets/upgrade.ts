import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocketServer } from 'ws';
import type { HostCheck } from '../host/allowed-hosts.ts';
import { type PeerLimits, RETRY_AFTER_S } from './peer-limits.ts';

interface Route {
  readonly matches: (path: string) => boolean;
  readonly server: WebSocketServer;
}

/**
 * Passes upgrade requests to the WebSocket server of their path. It refuses requests for unknown hosts with 421, for unknown
 * paths with 404, and those beyond the limits of the address or the process with 503, before the WebSocket handshake.
 */
export class UpgradeRouter {
  readonly #routes: Route[] = [];
  readonly #peers: PeerLimits;
  readonly #checkHost: HostCheck | null;

  /** `checkHost` is null when all hosts are allowed. */
  constructor(peers: PeerLimits, checkHost: HostCheck | null) {
    this.#peers = peers;
    this.#checkHost = checkHost;
  }

  /** Adds a server for all paths that match, which are passed without a trailing slash. */
  add(matches: (path: string) => boolean, server: WebSocketServer): void {
    this.#routes.push({ matches, server });
  }

  /** Starts to answer the upgrade requests of an HTTP server. */
  attach(http: Server): void {
    http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const unknownHost = this.#checkHost?.(request);
      if (unknownHost) {
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
      const release = this.#peers.acquireConnection(request);
      if (!release) {
        refuse(socket, `503 Service Unavailable\r\nRetry-After: ${RETRY_AFTER_S}`);
        return;
      }
      socket.once('close', release);
      route.server.handleUpgrade(request, socket, head, (webSocket) => {
        route.server.emit('connection', webSocket, request);
      });
    });
  }
}

function refuse(socket: Duplex, status: string, sentence = ''): void {
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  const head = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8`;
  socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(sentence)}\r\n\r\n${sentence}`);
}
