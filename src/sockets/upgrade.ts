import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocketServer } from 'ws';

interface Route {
  readonly matches: (path: string) => boolean;
  readonly server: WebSocketServer;
}

/** Hands requests for a WebSocket to the server of their path; others are refused as any unknown path. */
export class UpgradeRouter {
  readonly #routes: Route[] = [];

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
        socket.on('error', () => socket.destroy());
        socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
        return;
      }
      route.server.handleUpgrade(request, socket, head, (webSocket) => {
        route.server.emit('connection', webSocket, request);
      });
    });
  }
}
