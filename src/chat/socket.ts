import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { WebSocket } from 'ws';
import { signedIn } from '../accounts/policy.ts';
import type { StreamEvent } from '../changes/watch.ts';
import type { Context } from '../context.ts';
import { acrossOutages } from '../database/outages.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import type { ChatMessage } from '../generated/client/client.ts';
import { CloseReason, closeSockets, createWebSocketServer, keepAlive, sendText, whenClosed } from '../host/sockets.ts';
import { addressOf, enter, type SocketDoor } from '../rest/handshake.ts';
import { SharedTexts } from '../rest/live/shared-texts.ts';
import { messageBody } from './bodies.ts';
import { watchSpoken } from './live.ts';

/** To be said loudly by a server that is started with `CHAT_SOCKET_OPEN`. */
export const OPEN_CHAT_WARNING =
  'CHAT_SOCKET_OPEN is set: whoever knows the uri of a chat reads along on its socket, without credentials and without being a member.';

const PATH = /^\/(?:ws\/chats\/([^/]+)|([0-9a-f]{12}4[0-9a-f]{2}))\/?$/;

/** What a client is told that was not let in, or not any longer. */
const CLOSE_CODES: Readonly<Partial<Record<ErrorCode, number>>> = {
  UNAUTHENTICATED: CloseReason.unauthorized,
  NOT_FOUND: CloseReason.forbidden,
  FORBIDDEN: CloseReason.forbidden,
  BAD_CURSOR: CloseReason.badRequest,
  RESYNC_REQUIRED: CloseReason.resyncRequired,
};

/**
 * Mounts the socket that sends what is said in a chat, which older clients open at `/ws/chats/<uri>/` or `/<uri>` and send nothing to. Gives
 * what closes its sockets.
 */
export function registerChatSocket(door: SocketDoor): () => Promise<void> {
  const { upgrades, sockets, report } = door;
  const texts = new SharedTexts();
  const server = createWebSocketServer(sockets);
  server.on('connection', (socket, request) => {
    keepAlive(socket, sockets.keepAliveMs);
    socket.on('error', () => undefined);
    serve(door, texts, socket, request).catch((error: unknown) => {
      const expected = error instanceof AppError ? error : null;
      if (!expected && socket.readyState === socket.OPEN) {
        report(error, null);
      }
      const code = expected ? CLOSE_CODES[expected.code] : undefined;
      socket.close(code ?? CloseReason.internalError, expected?.message ?? 'Unexpected error');
    });
  });
  upgrades.add((path) => PATH.test(path), server);
  return async () => closeSockets(server);
}

async function serve(door: SocketDoor, texts: SharedTexts, socket: WebSocket, request: IncomingMessage): Promise<void> {
  const { path, query } = addressOf(request);
  const [, named, bare] = PATH.exec(path) ?? [];
  const context = await admitted(door, socket, request);
  if (!context) {
    return;
  }
  const watch = await watchSpoken(context, named ?? bare ?? '', door.sockets.chatOpen);
  // An empty one begins now, as none does, but with cursors: so a client comes by its first.
  const after = query.get('after');
  const stream = await context.feed.subscribe(watch, after || null, () =>
    socket.close(CloseReason.tryAgainLater, 'The reader is too slow'),
  );
  whenClosed(socket, () => {
    stream.return();
  });
  for await (const event of stream) {
    const text = event.action === 'CREATED' ? await texts.get(event.cursor, () => textOf(context, event)) : null;
    // The right may have been lost while the author was read.
    if (text !== null && watch.mayStillSend(event)) {
      await sendText(socket, after === null ? text : `${text.slice(0, -1)},"cursor":${JSON.stringify(event.cursor)}}`);
    }
  }
  throw new AppError('FORBIDDEN');
}

async function admitted(door: SocketDoor, socket: WebSocket, request: IncomingMessage): Promise<Context | null> {
  if (door.sockets.chatOpen) {
    // As in the original, nobody asks who it is: not even an old credential is looked at.
    return door.contextOf({ authorization: undefined, requestId: randomUUID() });
  }
  const entrant = await enter(door, socket, request);
  if (entrant) {
    signedIn(entrant.context.viewer);
  }
  return entrant?.context ?? null;
}

async function textOf({ database }: Context, { row }: StreamEvent): Promise<string | null> {
  const { userId, message } = row as unknown as ChatMessage;
  const author = await acrossOutages(database, () => database.user.findUnique({ where: { id: userId } }));
  return author && JSON.stringify(messageBody(author, message));
}
