import { handleProtocols, CloseCode as ProtocolCloseCode } from 'graphql-ws';
import type { WebSocket, WebSocketServer } from 'ws';
import type { DrainConnections } from '../host/draining.ts';
import { complexityOf } from '../json.ts';
import { SocketWriter } from '../sockets/socket-writer.ts';
import { createWebSocketServer, drainSockets, keepAlive } from '../sockets/web-sockets.ts';
import { renewCredential, type SocketConnection, type SocketTransportOptions } from './socket-connection.ts';
import { createProtocol } from './socket-protocol.ts';

/** The interval at which a socket that is to be closed is checked for running operations, in milliseconds. */
const IDLE_CHECK_MS = 20;

/** Creates the server of GraphQL over WebSocket. */
export function createSocketServer(options: SocketTransportOptions): {
  server: WebSocketServer;
  drain: DrainConnections;
} {
  const { sockets, cookies, report } = options;
  const protocol = createProtocol(options);
  const server = createWebSocketServer(sockets, { handleProtocols });
  const states = new WeakMap<WebSocket, SocketConnection>();
  server.on('connection', (socket, request) => {
    const writer = new SocketWriter(socket, request);
    const state: SocketConnection = {
      socket,
      writer,
      request,
      connection: { resumeAfter: null, renew: (token) => renewCredential(options, state, token) },
      authorization: undefined,
      cookie: cookies.ofHandshake(request),
      caller: null,
      releaseConnection: null,
      isAnswering: () => false,
    };
    states.set(socket, state);
    keepAlive(socket, sockets.keepAliveMs);
    const closed = protocol.opened(
      {
        protocol: socket.protocol,
        send: async (message) => writer.sendText(message),
        close: (code, reason) => writer.close(code ?? ProtocolCloseCode.InternalServerError, reason ?? ''),
        onMessage: (handle) => socket.on('message', (data) => receive(state, String(data), handle, report)),
      },
      state,
    );
    // For a frame that breaks the WebSocket protocol or exceeds the size limit, ws closes the socket itself.
    socket.on('error', () => undefined);
    socket.once('close', (code, reason) => {
      state.caller?.release();
      state.releaseConnection?.();
      closed(code, String(reason)).catch((error: unknown) => report(error, null));
    });
  });
  return { server, drain: () => drainSockets(server, (socket, callback) => onceIdle(states.get(socket), callback)) };
}

/**
 * Calls back once no query and no mutation of a socket is executed: a client that did not receive the result would send the mutation again. Until then, no
 * further operations are read.
 */
function onceIdle(state: SocketConnection | undefined, callback: () => void): void {
  const { socket } = state ?? {};
  if (state?.isAnswering() && socket?.readyState === socket?.OPEN) {
    socket?.pause();
    setTimeout(() => onceIdle(state, callback), IDLE_CHECK_MS);
  } else {
    callback();
    // The answer of the client to the close frame is read.
    socket?.resume();
  }
}

/** Passes a message to graphql-ws, and closes the socket when the message breaks the protocol or its handling fails. */
function receive(
  { socket, writer }: SocketConnection,
  text: string,
  handle: (message: string) => Promise<void>,
  report: SocketTransportOptions['report'],
): void {
  if (socket.readyState !== socket.OPEN) {
    // The client does not receive an answer: after the close it sends the operation again, to another server.
    return;
  }
  if (!writer.isWritable && !socket.isPaused) {
    // No more messages are read from a client that does not read the responses.
    socket.pause();
    writer.onceWritable(() => socket.resume());
  }
  const problem = complexityOf(text);
  if (problem) {
    writer.close(ProtocolCloseCode.BadRequest, problem.message);
    return;
  }
  handle(text).catch((error: unknown) => {
    if (error instanceof Error && error.message.startsWith('Unexpected message')) {
      // graphql-ws throws for messages that only servers send.
      writer.close(ProtocolCloseCode.BadRequest, error.message);
    } else if (socket.readyState === socket.OPEN) {
      report(error, null);
      writer.close(ProtocolCloseCode.InternalServerError, 'Internal server error');
    }
  });
}
