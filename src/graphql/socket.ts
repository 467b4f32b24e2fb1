import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type ExecutionResult, GraphQLError } from 'graphql';
import { CloseCode, handleProtocols, makeServer } from 'graphql-ws';
import type { WebSocket, WebSocketServer } from 'ws';
import { type Admission, admit } from '../accounts/standing.ts';
import type { Config } from '../config.ts';
import type { Connection, UserViewer } from '../context.ts';
import { AppError, CredentialsError } from '../errors.ts';
import {
  closeSockets,
  createWebSocketServer,
  dropSlowReader,
  keepAlive,
  type Places,
  sendText,
} from '../host/sockets.ts';
import type { SharedResult, SubscriptionArgs } from './fan-out.ts';
import { presentError } from './mask.ts';
import { type LiveDoor, prepare } from './operations.ts';
import { errorForStream, forStream } from './results.ts';

interface Extra {
  readonly socket: WebSocket;
  readonly request: IncomingMessage;
  readonly connection: Connection;
  /** The credential that operations run with; a renewal replaces it. */
  authorization: string | undefined;
  admission: Admission | null;
  freePlace: (() => void) | null;
}

export interface SocketDoor extends LiveDoor {
  readonly places: Places;
  readonly sockets: Config['sockets'];
}

/** GraphQL over WebSocket, by the graphql-transport-ws protocol. */
export function createSocketServer(door: SocketDoor): { server: WebSocketServer; close: () => Promise<void> } {
  const { sockets, report } = door;
  const protocol = createProtocol(door);
  const server = createWebSocketServer(sockets, { handleProtocols });
  server.on('connection', (socket, request) => {
    const extra: Extra = {
      socket,
      request,
      connection: {
        resumeAfter: null,
        renew: (token) => renew(door, extra, token),
        overflow: () => dropSlowReader(socket),
      },
      authorization: undefined,
      admission: null,
      freePlace: null,
    };
    keepAlive(socket, sockets.keepAliveMs);
    const closed = protocol.opened(
      {
        protocol: socket.protocol,
        send: (message) => sendText(socket, message),
        close: (code, reason) => socket.close(code, reason),
        onMessage: (handle) =>
          socket.on('message', (data) => {
            handle(String(data)).catch((error: unknown) => {
              if (error instanceof Error && error.message.startsWith('Unexpected message')) {
                // A message that only servers send.
                socket.close(CloseCode.BadRequest, error.message);
              } else if (socket.readyState === socket.OPEN) {
                report(error, null);
                socket.close(CloseCode.InternalServerError, 'Internal server error');
              }
            });
          }),
      },
      extra,
    );
    // A frame that breaks the WebSocket protocol or the size limit: ws closes the socket by itself.
    socket.on('error', () => undefined);
    socket.once('close', (code, reason) => {
      extra.admission?.release();
      extra.freePlace?.();
      closed(code, String(reason)).catch((error: unknown) => report(error, null));
    });
  });
  return {
    server,
    close: async () => closeSockets(server),
  };
}

function createProtocol(door: SocketDoor) {
  const { contextOf, engine, fanOut, places, report, sockets } = door;
  const targets = new WeakMap<object, Target>();
  return makeServer<Record<string, unknown>, Extra>({
    onConnect: async ({ connectionParams, extra }) => {
      extra.authorization = credentialOf(connectionParams) ?? extra.request.headers.authorization;
      const admission = await admitToSocket(door, extra.socket, extra.authorization);
      extra.admission = admission;
      const { viewer, refusal } = admission.context;
      if (refusal) {
        extra.socket.close(CloseCode.Forbidden, refusal.message);
        return false;
      }
      if (viewer.kind === 'user') {
        extra.freePlace = places.take(viewer.id);
        if (!extra.freePlace) {
          extra.socket.close(CloseCode.TooManyInitialisationRequests, 'Too many sockets of this user');
          return false;
        }
      }
      if (extra.socket.readyState !== extra.socket.OPEN) {
        // It was closed meanwhile, and nobody will close it again.
        admission.release();
        extra.freePlace?.();
      }
      return true;
    },
    onSubscribe: async ({ extra, subscriptions }, id, payload) => {
      if (Object.keys(subscriptions).length > sockets.maxSubscriptions) {
        return [
          errorOf(new AppError('RATE_LIMITED', `A socket carries at most ${sockets.maxSubscriptions} operations.`)),
        ];
      }
      try {
        const { authorization, connection, request } = extra;
        const address = request.socket.remoteAddress;
        const context = await contextOf({ authorization, requestId: randomUUID(), address, connection, waits: true });
        const prepared = prepare(engine(), payload, context, report);
        targets.set(prepared, { socket: extra.socket, id });
        return prepared;
      } catch (error) {
        return [presentError(error, null, report)];
      }
    },
    execute: async (args) => engine().execute(args as SubscriptionArgs),
    subscribe: async (args) => {
      const results = await fanOut.subscribe(args as SubscriptionArgs);
      const target = targets.get(args);
      return Symbol.asyncIterator in results && target ? writing(results, target) : (results as ExecutionResult);
    },
    onNext: (_ctx, _id, _payload, _args, result) => forStream(result),
    onError: (_ctx, _id, _payload, errors) => errors.map((error) => errorForStream(presentError(error, null, report))),
  });
}

/** Where the results of an operation go. */
interface Target {
  readonly socket: WebSocket;
  readonly id: string;
}

/**
 * A stream for the protocol that has nothing but its end: its results are written straight to the socket, from the text that all
 * subscribers of a group share, since writing each one's JSON anew would cost as much as sending it.
 */
function writing(
  results: AsyncIterableIterator<SharedResult>,
  { socket, id }: Target,
): AsyncIterableIterator<ExecutionResult> {
  const head = `{"id":${JSON.stringify(id)},"type":"next","payload":`;
  let ended = false;
  return {
    async next() {
      for (;;) {
        const { done, value } = await results.next();
        if (done || ended) {
          return { done: true, value: undefined };
        }
        await sendText(socket, `${head}${value.text}}`);
      }
    },
    async return() {
      ended = true;
      await results.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

function admitToSocket(
  { contextOf }: SocketDoor,
  socket: WebSocket,
  authorization: string | undefined,
): Promise<Admission> {
  // Clients connect again after 4403, and can bring a fresh token then; after 4401 they give up.
  return admit(contextOf, { authorization, requestId: randomUUID() }, (reason) =>
    socket.close(CloseCode.Forbidden, reason.message),
  );
}

async function renew(door: SocketDoor, extra: Extra, token: string): Promise<UserViewer> {
  const authorization = `Bearer ${token}`;
  const next = await admitToSocket(door, extra.socket, authorization);
  const { viewer, refusal } = next.context;
  const present = extra.admission?.context.viewer;
  if (extra.socket.readyState !== extra.socket.OPEN) {
    // It was closed meanwhile, and nobody else will stop watching this credential.
    next.release();
  }
  if (viewer.kind === 'anonymous' || present?.kind !== 'user' || present.id !== viewer.id) {
    next.release();
    throw new CredentialsError(refusal?.message ?? 'The token is not one of the user who opened the connection.');
  }
  extra.authorization = authorization;
  extra.admission?.release();
  extra.admission = next;
  return viewer;
}

function credentialOf(params: Record<string, unknown> | undefined): string | undefined {
  for (const [name, value] of Object.entries(params ?? {})) {
    if (name.toLowerCase() === 'authorization' && typeof value === 'string') {
      return value;
    }
  }
  return undefined;
}

function errorOf(error: AppError): GraphQLError {
  return new GraphQLError(error.message, { extensions: { code: error.code } });
}
