import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Config } from '../config.ts';

/** How many times progress is looked at until a peer without it is given up. */
const CHECKS = 10;
/** How Node reports a request that takes too long, which the host answers with 408. */
const TIMEOUT_CODE = 'ERR_HTTP_REQUEST_TIMEOUT';

/** What a peer has taken and sent since a while. */
interface Progress {
  /** The request that is being received; null between requests. */
  request: IncomingMessage | null;
  checks: number;
  received: number;
  sent: number;
}

/**
 * Ends connections whose peer sends the body of a request too slowly (with 408), or reads nothing of an answer; Node itself bounds the time for headers and between
 * requests. Time is counted in checks, so that a process that stood still does not blame its peers. Returns the function that stops it.
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
  // What was upgraded has rules of its own.
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
    server.emit('clientError', Object.assign(new Error('The body came too slowly.'), { code: TIMEOUT_CODE }), socket);
  } else if (isSending && sent === progress.sent) {
    socket.destroy();
  }
  Object.assign(progress, { checks: 0, received: socket.bytesRead, sent });
}
