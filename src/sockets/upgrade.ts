import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocketServer } from 'ws';
import { type PeerLimits, RETRY_AFTER_S } from './peer-limits.ts';

interface Route {
  readonly matches: (path: string) => boolean;
  readonly server: WebSocketServer;
}

/**
 * Hands requests for a WebSocket to the server of their path. Those for other paths are refused as any unknown path, and those beyond the limits of their
 * address or of the process with 503, before a socket is made of them.
 */
export class UpgradeRouter {
  readonly #routes: Route[] = [];
  readonly #peers: PeerLimits;

  constructor(peers: PeerLimits) {
    this.#peers = peers;
  }

  /** Adds a server for all paths that match; a slash at the end of a path does not count. */
  add(matches: (path: string) => boolean, server: WebSocketServer): void {
    this.#routes.push({ matches, server });
  }

  /** Starts to answer the upgrade requests of an HTTP server. */
  attach(http: Server): void {
    http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const [path = '/'] = (request.url ?? '/').split('?');
      const wanted = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
      const route = this.#routes.find(({ matches }) => matches(wanted));
      if (!route) {
        refuse(socket, '404 Not Found');
        return;
      }
      const release = this.#peers.connect(request);
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

function refuse(socket: Duplex, status: string): void {
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
