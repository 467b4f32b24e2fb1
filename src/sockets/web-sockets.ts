import { type WebSocket, WebSocketServer } from 'ws';
import type { Config } from '../config.ts';
import { CloseCode } from './close-codes.ts';

/** How long a peer has left to read what was sent when the server stops, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000;

/** A server for sockets of one kind: of a bounded message size, and uncompressed, which would cost more memory than it saves bytes. */
export function createWebSocketServer(
  { messageLimitBytes }: Config['sockets'],
  options: { readonly handleProtocols?: (offered: Set<string>) => string | false } = {},
): WebSocketServer {
  return new WebSocketServer({ ...options, noServer: true, maxPayload: messageLimitBytes, perMessageDeflate: false });
}

/** Closes all sockets of a server that stops. */
export function closeSockets(server: WebSocketServer): void {
  for (const client of server.clients) {
    client.close(CloseCode.goingAway, 'Going away');
    setTimeout(() => client.terminate(), CLOSE_TIMEOUT_MS).unref();
  }
}

/** Pings the peer at an interval; one that has not answered by the next ping is dropped. */
export function keepAlive(socket: WebSocket, intervalMs: number): void {
  let hasAnswered = true;
  socket.on('pong', () => {
    hasAnswered = true;
  });
  const timer = setInterval(() => {
    if (!hasAnswered) {
      socket.terminate();
      return;
    }
    hasAnswered = false;
    socket.ping();
  }, intervalMs);
  timer.unref();
  whenClosed(socket, () => clearInterval(timer));
}

/** Calls back when the socket is closed, at once when it is already. */
export function whenClosed(socket: WebSocket, callback: () => void): void {
  if (socket.readyState === socket.CLOSED) {
    callback();
  } else {
    socket.once('close', callback);
  }
}
