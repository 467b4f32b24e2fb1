import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Config } from '../config/config.ts';

/** The number of checks after which a connection without progress is closed. */
const CHECKS = 10;
/** The code of Node's error for a request that takes too long; Fastify responds with 408. */
const TIMEOUT_CODE = 'ERR_HTTP_REQUEST_TIMEOUT';

/** The progress of a connection since the last evaluation. */
interface Progress {
  /** The request whose body is being received; null between requests. */
  request: IncomingMessage | null;
  checks: number;
  received: number;
  sent: number;
}

/**
 * Closes connections whose client sends a request body too slowly (with 408), or reads nothing of a response. Node limits
 * the time for headers and between requests. Time is counted in checks, so that a stalled event loop closes no connections.
 * Returns the function that stops the checks.
 */
export function limitSlowPeers(
  server: Server,
  { headersTimeoutMs, bodyMinBytesPerS }: Pick<Config['http'], 'headersTimeoutMs' | 'bodyMinBytesPerS'>,
): () => void {
  const minBytes = (bodyMinBytesPerS * headersTimeoutMs) / 1000;
  const peers = new Map<Socket, Progress>();
  server.on('connection', (socket) => {
    peers.set(socket, { request: null, checks: 0, received: 0, sent: 0 });
    socket.once('close', () => peers.delete(socket));
  });
  server.on('request', (request: IncomingMessage) => {
    const progress = peers.get(request.socket);
    if (progress) {
      Object.assign(progress, { request, checks: 0, received: request.socket.bytesRead });
    }
  });
  // The WebSocket transports limit their slow clients themselves.
  server.on('upgrade', ({ socket }: IncomingMessage) => peers.delete(socket));
  const timer = setInterval(() => {
    for (const [socket, progress] of peers) {
      check(server, socket, progress, minBytes);
    }
  }, headersTimeoutMs / CHECKS);
  timer.unref();
  return () => clearInterval(timer);
}

function check(server: Server, socket: Socket, progress: Progress, minBytes: number): void {
  const isReceiving = progress.request?.complete === false;
  const isSending = socket.writableLength > 0;
  const sent = socket.bytesWritten - socket.writableLength;
  if (!isReceiving) {
    progress.request = null;
  }
  if (!isReceiving && !isSending) {
    progress.checks = 0;
    progress.sent = sent;
    return;
  }
  progress.checks += 1;
  if (progress.checks < CHECKS) {
    return;
  }
  if (isReceiving && socket.bytesRead - progress.received < minBytes) {
    server.emit(
      'clientError',
      Object.assign(new Error('The request body arrives too slowly.'), { code: TIMEOUT_CODE }),
      socket,
    );
  } else if (isSending && sent === progress.sent) {
    socket.destroy();
  }
  Object.assign(progress, { checks: 0, received: socket.bytesRead, sent });
}
