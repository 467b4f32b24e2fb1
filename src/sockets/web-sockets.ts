import { type WebSocket, WebSocketServer } from 'ws';
import type { Config } from '../config/config.ts';
import type { ConnectionClosers } from '../host/draining.ts';
import { CloseCode } from './close-codes.ts';

/** The time that clients have to read the sent messages when the server stops, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000;

/** Creates a WebSocket server with limited message size. Without compression, whose memory for each socket outweighs the saved bytes. */
export function createWebSocketServer(
  { messageLimitBytes }: Config['sockets'],
  options: { readonly handleProtocols?: (offered: Set<string>) => string | false } = {},
): WebSocketServer {
  return new WebSocketServer({ ...options, noServer: true, maxPayload: messageLimitBytes, perMessageDeflate: false });
}

/**
 * Makes a server answer further handshakes with 503. Returns the closers of its open sockets; `whenIdle` of a socket calls back once
 * the operations that it answers now have ended, for transports whose requests have responses.
 */
export function drainSockets(
  server: WebSocketServer,
  whenIdle: (socket: WebSocket, callback: () => void) => void = (_socket, callback) => callback(),
): ConnectionClosers {
  server.close();
  return [...server.clients].map((socket) => () => whenIdle(socket, () => closeGoingAway(socket)));
}

function closeGoingAway(socket: WebSocket): void {
  socket.close(CloseCode.goingAway, 'Going away');
  setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS).unref();
}

/** Pings the client at an interval. A client that has not answered before the next ping is disconnected. */
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

/** Calls back when the socket is closed, at once when it already is. */
export function whenClosed(socket: WebSocket, callback: () => void): void {
  if (socket.readyState === socket.CLOSED) {
    callback();
  } else {
    socket.once('close', callback);
  }
}
