import type { WebSocket } from 'ws';
import { CloseReason, closeSockets, createWebSocketServer, keepAlive, whenClosed } from '../host/sockets.ts';
import { type Entrant, enter, type SocketDoor } from './handshake.ts';
import { LiveConnection } from './live/connection.ts';
import type { LiveModels } from './live/requests.ts';
import { SharedTexts } from './live/shared-texts.ts';
import { LIVE_MODELS } from './live-models.ts';

const PATH = '/ws/subscribe';

/** How many frames of one socket may wait; until they are dealt with no more are read. */
const MAX_WAITING = 16;

/** Mounts the change socket of older clients, which speaks as django-rest-live did. Gives what closes its sockets. */
export function registerLiveSockets(door: SocketDoor): () => Promise<void> {
  const { upgrades, sockets, report } = door;
  const models: LiveModels = new Map(LIVE_MODELS.map((model) => [model.name, model]));
  const live = { ...door, models, instances: new SharedTexts() };
  const server = createWebSocketServer(sockets);
  server.on('connection', (socket, request) => {
    keepAlive(socket, sockets.keepAliveMs);
    // A frame that breaks the WebSocket protocol or the size limit: ws closes the socket by itself.
    socket.on('error', () => undefined);
    const entered = letIn(door, socket, enter(door, socket, request)).then((entrant) => {
      if (!entrant) {
        return null;
      }
      const connection = new LiveConnection(live, socket, entrant.authorization);
      whenClosed(socket, () => connection.close());
      return connection;
    });
    inTurn(socket, async (text) => (await entered)?.take(text), report);
  });
  upgrades.add((path) => path === PATH, server);
  return async () => closeSockets(server);
}

/** Keeps anonymous callers out where nothing is everybody's, since there is nothing that they could see. */
async function letIn(
  { report }: SocketDoor,
  socket: WebSocket,
  entering: Promise<Entrant | null>,
): Promise<Entrant | null> {
  try {
    const entrant = await entering;
    const { viewer } = entrant?.context ?? {};
    if (viewer?.kind === 'anonymous' && !viewer.sharesOwnerless) {
      socket.close(CloseReason.unauthorized, 'Authentication credentials were not provided.');
      return null;
    }
    return entrant;
  } catch (error) {
    report(error, null);
    socket.close(CloseReason.internalError, 'Unexpected error');
    return null;
  }
}

/** Hands over the frames of a socket one by one, each when the one before it is dealt with. */
function inTurn(socket: WebSocket, take: (text: string) => Promise<void>, report: SocketDoor['report']): void {
  let waiting = 0;
  let last: Promise<void> = Promise.resolve();
  socket.on('message', (data) => {
    waiting += 1;
    if (waiting >= MAX_WAITING) {
      socket.pause();
    }
    last = last
      .then(() => take(String(data)))
      .catch((error: unknown) => report(error, null))
      .finally(() => {
        waiting -= 1;
        if (socket.isPaused && waiting < MAX_WAITING) {
          socket.resume();
        }
      });
  });
}
