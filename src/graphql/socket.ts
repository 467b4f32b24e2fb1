import { handleProtocols, CloseCode as ProtocolCloseCode } from 'graphql-ws';
import type { WebSocketServer } from 'ws';
import { complexityOf } from '../json.ts';
import { SocketWriter } from '../sockets/socket-writer.ts';
import { closeSockets, createWebSocketServer, keepAlive } from '../sockets/web-sockets.ts';
import { renewCredential, type SocketConnection, type SocketTransportOptions } from './socket-connection.ts';
import { createProtocol } from './socket-protocol.ts';

/** Creates the server of GraphQL over WebSocket. */
export function createSocketServer(options: SocketTransportOptions): {
  server: WebSocketServer;
  close: () => Promise<void>;
} {
  const { sockets, cookies, report } = options;
  const protocol = createProtocol(options);
  const server = createWebSocketServer(sockets, { handleProtocols });
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
    };
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
  return { server, close: async () => closeSockets(server) };
}

/** Passes a message to graphql-ws, and closes the socket when the message breaks the protocol or its handling fails. */
function receive(
  { socket, writer }: SocketConnection,
  text: string,
  handle: (message: string) => Promise<void>,
  report: SocketTransportOptions['report'],
): void {
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
