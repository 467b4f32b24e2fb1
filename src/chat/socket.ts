import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { WebSocket } from 'ws';
import type { Sink, StreamEnd } from '../changes/delivery.ts';
import type { ChangeEvent, StreamEvent } from '../changes/filter.ts';
import type { Result } from '../changes/result.ts';
import type { Renderer } from '../changes/results.ts';
import type { Context } from '../context.ts';
import { retryDuringOutage } from '../database/outages.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import type { ChatMessage } from '../generated/client/client.ts';
import type { DrainConnections } from '../host/draining.ts';
import { loadUser } from '../identity/named-users.ts';
import { requireUser } from '../identity/rights.ts';
import { CloseCode } from '../sockets/close-codes.ts';
import { authenticateSocket, type SocketTransport, targetOf } from '../sockets/handshake.ts';
import { SocketWriter } from '../sockets/socket-writer.ts';
import { createWebSocketServer, drainSockets, keepAlive, whenClosed } from '../sockets/web-sockets.ts';
import { messageBody } from './bodies.ts';
import { accessByUri, accessOfParticipant, findChatId } from './chat-access.ts';
import { socketRooms } from './socket-rooms.ts';
import { watchPresentMessages } from './watch-messages.ts';

/** Logged at the start of a server with `CHAT_SOCKET_OPEN`. */
const OPEN_CHAT_WARNING =
  'CHAT_SOCKET_OPEN is set: everybody who knows the uri of a chat can read its messages on the chat socket, without a credential and without being a member. Unset it unless older clients need it.';

const PATH = /^\/(?:ws\/chats\/([^/]+)|([0-9a-f]{12}4[0-9a-f]{2}))\/?$/;

/** The close codes for callers without access, and for those who lose it. */
const CLOSE_CODES: Readonly<Partial<Record<ErrorCode, number>>> = {
  UNAUTHENTICATED: CloseCode.unauthorized,
  NOT_FOUND: CloseCode.forbidden,
  FORBIDDEN: CloseCode.forbidden,
  BAD_CURSOR: CloseCode.badRequest,
  RESYNC_REQUIRED: CloseCode.resyncRequired,
  RATE_LIMITED: CloseCode.tryAgainLater,
  OVERLOADED: CloseCode.tryAgainLater,
};

/**
 * Mounts the chat socket, which sends the new messages of a chat and expects none. Older clients open it at `/ws/chats/<uri>/` or `/<uri>`.
 */
export function registerChatSocket(transport: SocketTransport): DrainConnections {
  const { upgrades, sockets, report, warn } = transport;
  if (sockets.chatOpen) {
    warn(OPEN_CHAT_WARNING);
  }
  const server = createWebSocketServer(sockets);
  server.on('connection', (socket, request) => {
    keepAlive(socket, sockets.keepAliveMs);
    socket.on('error', () => undefined);
    const writer = new SocketWriter(socket, request);
    const onEnd = (end: StreamEnd): void => {
      const error = end.kind === 'error' ? end.error : new AppError('FORBIDDEN');
      if (end.kind === 'error' && end.isTooSlow) {
        writer.closeSlowReader();
        return;
      }
      const expected = error instanceof AppError ? error : null;
      if (!expected && socket.readyState === socket.OPEN) {
        report(error, null);
      }
      const code = expected ? CLOSE_CODES[expected.code] : undefined;
      writer.close(code ?? CloseCode.internalError, expected?.message ?? 'Unexpected error');
    };
    serve(transport, socket, writer, request, onEnd).catch((error: Error) =>
      onEnd({ kind: 'error', error, isTooSlow: false }),
    );
  });
  upgrades.add({ protocol: 'chat', matches: (path) => PATH.test(path), server });
  return () => drainSockets(server);
}

async function serve(
  transport: SocketTransport,
  socket: WebSocket,
  writer: SocketWriter,
  request: IncomingMessage,
  onEnd: (end: StreamEnd) => void,
): Promise<void> {
  const { path, query } = targetOf(request);
  const [, named, bare] = PATH.exec(path) ?? [];
  const context = await authenticate(transport, socket, request);
  if (!context) {
    return;
  }
  // An empty `after` starts now, like none, but adds cursors to the frames, so that a client obtains its first cursor.
  const after = query.get('after');
  const uri = named ?? bare ?? '';
  const { stream, access } = await transport.peers.acquireSubscription(
    context.address,
    async () => {
      const access = await (transport.sockets.chatOpen
        ? accessByUri(context, uri)
        : accessOfParticipant(context, await findChatId(context, uri)));
      return {
        access,
        stream: await context.feed.open(watchPresentMessages(context, access), after || null, context.cursor),
      };
    },
    (opened) => opened.stream,
  );
  whenClosed(socket, () => stream.close());
  const leave = socketRooms(context).join(context, access.chatId, uri, {
    // The log has no such message to catch up with, so that a client that reads too slowly misses it.
    send: (frame) => access.hasAccess() && writer.isWritable && writer.send(frame),
  });
  whenClosed(socket, leave);
  stream.start(new MessageRenderer(context), new MessageSink(writer, after !== null, onEnd));
}

async function authenticate(
  transport: SocketTransport,
  socket: WebSocket,
  request: IncomingMessage,
): Promise<Context | null> {
  if (transport.sockets.chatOpen) {
    // As in the original, the caller is not authenticated, so that an invalid credential does not matter either.
    return transport.contextOf({
      authorization: undefined,
      requestId: randomUUID(),
      address: transport.addressOf(request),
    });
  }
  const caller = await authenticateSocket(transport, socket, request);
  if (caller) {
    requireUser(caller.context.viewer);
  }
  return caller?.context ?? null;
}

/** Renders new messages as frames. */
class MessageRenderer implements Renderer<ChangeEvent> {
  readonly key = '/ws/chats/';
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  render(events: readonly ChangeEvent[]): Promise<(string | null)[]> {
    const context = { ...this.#context, delivery: this.#context.feed.loop.loaderScope };
    return Promise.all(events.map((event) => (event.action === 'CREATED' ? textOf(context, event) : null)));
  }
}

async function textOf(context: Context, { row }: ChangeEvent): Promise<string | null> {
  const { userId, message } = row as unknown as ChatMessage;
  const author = await retryDuringOutage(context.database, () => loadUser(context, userId));
  return author ? JSON.stringify(messageBody(author, message)) : null;
}

/** Writes frames to one socket. */
class MessageSink implements Sink {
  readonly #writer: SocketWriter;
  readonly #withCursors: boolean;
  readonly #onEnd: (end: StreamEnd) => void;

  constructor(writer: SocketWriter, withCursors: boolean, onEnd: (end: StreamEnd) => void) {
    this.#writer = writer;
    this.#withCursors = withCursors;
    this.#onEnd = onEnd;
  }

  isWritable(): boolean {
    return this.#writer.isWritable;
  }

  onceWritable(callback: () => void): void {
    this.#writer.onceWritable(callback);
  }

  send(result: Result, { cursor }: StreamEvent): void {
    this.#writer.send(
      this.#withCursors
        ? result.encode('message with cursor', (text) => `${text.slice(0, -1)},"cursor":${JSON.stringify(cursor)}}`)
        : result.encode('message', (text) => text),
    );
  }

  end(end: StreamEnd): void {
    this.#onEnd(end);
  }
}
