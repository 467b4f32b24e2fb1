import type { WebSocket } from 'ws';
import type { DrainConnections } from '../host/draining.ts';
import { CloseCode } from '../sockets/close-codes.ts';
import { authenticateSocket, type SocketCaller, type SocketTransport } from '../sockets/handshake.ts';
import { SocketWriter } from '../sockets/socket-writer.ts';
import { createWebSocketServer, drainSockets, keepAlive, whenClosed } from '../sockets/web-sockets.ts';
import { LegacyConnection } from './connection.ts';
import type { AnyLegacyModel } from './model.ts';
import type { LegacyModels } from './requests.ts';

const PATH = '/ws/subscribe';

/** The number of waiting frames from which no more are read from a socket. */
const MAX_WAITING = 16;

/** Mounts the WebSocket transport of older clients, the protocol of django-rest-live. */
export function registerLegacySocket(
  transport: SocketTransport,
  legacyModels: readonly AnyLegacyModel[],
): DrainConnections {
  const { upgrades, addressOf, sockets, report } = transport;
  const models: LegacyModels = new Map(legacyModels.map((model) => [model.name, model]));
  const server = createWebSocketServer(sockets);
  server.on('connection', (socket, request) => {
    keepAlive(socket, sockets.keepAliveMs);
    // For a frame that breaks the WebSocket protocol or exceeds the size limit, ws closes the socket itself.
    socket.on('error', () => undefined);
    const writer = new SocketWriter(socket, request);
    const address = addressOf(request);
    const connected = authenticate(transport, socket, authenticateSocket(transport, socket, request)).then((caller) => {
      if (!caller) {
        return null;
      }
      const connection = new LegacyConnection({ ...transport, models, address }, writer, caller.credentials);
      whenClosed(socket, () => connection.close());
      return connection;
    });
    receiveInOrder(socket, writer, async (text) => (await connected)?.receive(text), report);
  });
  upgrades.add({ protocol: 'subscribe', matches: (path) => path === PATH, server });
  return () => drainSockets(server);
}

/** Rejects anonymous connections when ALLOW_ANONYMOUS is off. */
async function authenticate(
  { report }: SocketTransport,
  socket: WebSocket,
  authenticating: Promise<SocketCaller | null>,
): Promise<SocketCaller | null> {
  try {
    const caller = await authenticating;
    const { viewer } = caller?.context ?? {};
    if (viewer?.kind === 'anonymous' && !viewer.sharesOwnerless) {
      socket.close(CloseCode.unauthorized, 'Authentication credentials were not provided.');
      return null;
    }
    return caller;
  } catch (error) {
    report(error, null);
    socket.close(CloseCode.internalError, 'Unexpected error');
    return null;
  }
}

/** Passes on the frames of a socket one by one, each after the previous one is handled. */
function receiveInOrder(
  socket: WebSocket,
  writer: SocketWriter,
  receive: (text: string) => Promise<void>,
  report: SocketTransport['report'],
): void {
  let waiting = 0;
  let last: Promise<void> = Promise.resolve();
  const resume = (): void => {
    if (socket.isPaused && waiting < MAX_WAITING) {
      if (writer.isWritable) {
        socket.resume();
      } else {
        // No more frames are read from a client that does not read the responses.
        writer.onceWritable(resume);
      }
    }
  };
  socket.on('message', (data) => {
    waiting += 1;
    if (waiting >= MAX_WAITING || !writer.isWritable) {
      socket.pause();
    }
    last = last
      .then(() => receive(String(data)))
      .catch((error: unknown) => report(error, null))
      .finally(() => {
        waiting -= 1;
        resume();
      });
  });
}
