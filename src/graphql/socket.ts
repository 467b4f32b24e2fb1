import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type ExecutionResult, GraphQLError } from 'graphql';
import { handleProtocols, makeServer, CloseCode as ProtocolCloseCode } from 'graphql-ws';
import type { WebSocket, WebSocketServer } from 'ws';
import { type AuthenticatedConnection, authenticateConnection } from '../accounts/credential-watch.ts';
import type { Sink, StreamEnd } from '../changes/delivery.ts';
import type { Config } from '../config.ts';
import type { Connection, SessionCookie } from '../context.ts';
import { AppError, CredentialsError } from '../errors.ts';
import type { AddressOf } from '../host/caller-address.ts';
import type { SessionCookies } from '../host/session-cookies.ts';
import { complexityOf } from '../json.ts';
import type { Admission } from '../sockets/admission.ts';
import type { ConnectionLimiter } from '../sockets/connection-limiter.ts';
import type { PeerLimits } from '../sockets/peer-limits.ts';
import { SocketWriter } from '../sockets/socket-writer.ts';
import { closeSockets, createWebSocketServer, keepAlive } from '../sockets/web-sockets.ts';
import type { UserViewer } from '../viewer.ts';
import { limitErrors } from './error-limits.ts';
import { presentError } from './mask.ts';
import { kindOf, type OperationTransport, prepare } from './operations.ts';
import { errorForStream, forStream } from './results.ts';
import type { SubscriptionArgs } from './subscription-renderer.ts';
import { type OpenSubscription, openSubscription } from './subscriptions.ts';

/** How long the id of an operation may be: each of its messages repeats it. */
const MAX_ID_LENGTH = 1000;

interface Extra {
  readonly socket: WebSocket;
  readonly writer: SocketWriter;
  readonly request: IncomingMessage;
  readonly connection: Connection;
  /** The credential that operations run with; a renewal replaces it. */
  authorization: string | undefined;
  /** The session cookie of the handshake, which counts without `authorization`. */
  readonly cookie: SessionCookie | undefined;
  caller: AuthenticatedConnection | null;
  releaseConnection: (() => void) | null;
}

export interface SocketTransportOptions extends OperationTransport {
  readonly addressOf: AddressOf;
  readonly cookies: SessionCookies;
  readonly connections: ConnectionLimiter<number>;
  readonly peers: PeerLimits;
  readonly admission: Admission;
  readonly sockets: Config['sockets'];
}

/** GraphQL over WebSocket, by the graphql-transport-ws protocol. */
export function createSocketServer(options: SocketTransportOptions): {
  server: WebSocketServer;
  close: () => Promise<void>;
} {
  const { sockets, cookies, report } = options;
  const protocol = createProtocol(options);
  const server = createWebSocketServer(sockets, { handleProtocols });
  server.on('connection', (socket, request) => {
    const writer = new SocketWriter(socket, request);
    const extra: Extra = {
      socket,
      writer,
      request,
      connection: { resumeAfter: null, renew: (token) => renew(options, extra, token) },
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
        onMessage: (handle) =>
          socket.on('message', (data) => {
            if (!writer.isWritable && !socket.isPaused) {
              // A peer that does not read its answers is not asked for more.
              socket.pause();
              writer.onceWritable(() => socket.resume());
            }
            const text = String(data);
            const problem = complexityOf(text);
            if (problem) {
              writer.close(ProtocolCloseCode.BadRequest, problem.message);
              return;
            }
            handle(text).catch((error: unknown) => {
              if (error instanceof Error && error.message.startsWith('Unexpected message')) {
                // A message that only servers send.
                writer.close(ProtocolCloseCode.BadRequest, error.message);
              } else if (socket.readyState === socket.OPEN) {
                report(error, null);
                writer.close(ProtocolCloseCode.InternalServerError, 'Internal server error');
              }
            });
          }),
      },
      extra,
    );
    // A frame that breaks the WebSocket protocol or the size limit: ws closes the socket by itself.
    socket.on('error', () => undefined);
    socket.once('close', (code, reason) => {
      extra.caller?.release();
      extra.releaseConnection?.();
      closed(code, String(reason)).catch((error: unknown) => report(error, null));
    });
  });
  return { server, close: async () => closeSockets(server) };
}

function createProtocol(options: SocketTransportOptions) {
  const { contextOf, addressOf, engine, persisted, admission, connections, peers, report, sockets } = options;
  const opened = new WeakMap<object, { readonly subscription: OpenSubscription; readonly sink: SocketSink }>();
  return makeServer<Record<string, unknown>, Extra>({
    connectionInitWaitTimeout: sockets.initTimeoutMs,
    onConnect: async ({ connectionParams, extra }) => {
      extra.authorization = credentialOf(connectionParams) ?? extra.request.headers.authorization;
      const caller = await authenticate(options, extra, extra.authorization);
      extra.caller = caller;
      const { viewer, refusal } = caller.context;
      if (refusal) {
        extra.writer.close(ProtocolCloseCode.Forbidden, refusal.explanation);
        return false;
      }
      if (viewer.kind === 'user') {
        extra.releaseConnection = connections.acquire(viewer.id);
        if (!extra.releaseConnection) {
          extra.writer.close(ProtocolCloseCode.TooManyInitialisationRequests, 'Too many sockets of this user');
          return false;
        }
      }
      if (extra.socket.readyState !== extra.socket.OPEN) {
        // It was closed meanwhile, and its close event has passed.
        caller.release();
        extra.releaseConnection?.();
      }
      return true;
    },
    onSubscribe: async ({ extra, subscriptions }, id, payload) => {
      if (id.length > MAX_ID_LENGTH) {
        extra.writer.close(ProtocolCloseCode.BadRequest, `The id has more than ${MAX_ID_LENGTH} characters`);
        return [];
      }
      if (Object.keys(subscriptions).length > sockets.maxSubscriptions) {
        return [
          errorOf(new AppError('RATE_LIMITED', `A socket carries at most ${sockets.maxSubscriptions} operations.`)),
        ];
      }
      const begin = async () => {
        const { authorization, cookie, connection, request } = extra;
        const address = addressOf(request);
        const context = await contextOf({
          authorization,
          cookie,
          requestId: randomUUID(),
          address,
          userAgent: request.headers['user-agent'],
          connection,
          waits: true,
        });
        const args = prepare(engine(), persisted.resolve(payload), context, report);
        if (!('document' in args) || kindOf(args) !== 'subscription') {
          return args;
        }
        // Here rather than in `subscribe`, so that a subscription that cannot start ends with the protocol's `error` message.
        const subscription = await openSubscription(args, peers, report);
        if (!('start' in subscription)) {
          return subscription.errors ?? [new GraphQLError('The subscription has no stream.')];
        }
        opened.set(args, { subscription, sink: new SocketSink(extra.writer, id, subscription.close) });
        return args;
      };
      try {
        return await admission.run(begin);
      } catch (error) {
        return [presentError(error, null, report)];
      }
    },
    execute: async (args) => engine().execute(args as SubscriptionArgs),
    subscribe: async (args) => {
      const { subscription, sink } = opened.get(args) ?? {};
      if (!subscription || !sink) {
        throw new Error('A subscription was not opened before it is started.');
      }
      subscription.start(sink);
      return sink;
    },
    onNext: (_ctx, _id, _payload, _args, result) => forStream(result),
    onError: (_ctx, _id, _payload, errors) =>
      limitErrors(errors, (error) => presentError(error, null, report)).map(errorForStream),
  });
}

/**
 * Writes the results of one subscription. To the protocol it is an iterator that has nothing but its end: results are written from the bytes that all
 * subscriptions of a group share, since making each one's message anew would cost as much as sending it.
 */
class SocketSink implements Sink, AsyncIterableIterator<ExecutionResult> {
  readonly #writer: SocketWriter;
  readonly #head: Buffer;
  readonly #close: () => void;
  readonly #ended: Promise<StreamEnd>;
  #end: (end: StreamEnd) => void = () => undefined;

  constructor(writer: SocketWriter, id: string, close: () => void) {
    this.#writer = writer;
    this.#head = Buffer.from(`{"id":${JSON.stringify(id)},"type":"next","payload":`);
    this.#close = close;
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  isWritable(): boolean {
    return this.#writer.isWritable;
  }

  onceWritable(callback: () => void): void {
    this.#writer.onceWritable(callback);
  }

  send(result: Parameters<Sink['send']>[0]): void {
    this.#writer.send(
      this.#head,
      result.encode('graphql-transport-ws', (text) => `${text}}`),
    );
  }

  end(end: StreamEnd): void {
    this.#end(end);
  }

  /** Resolves when the subscription is over, and rejects when that is by an error. */
  async next(): Promise<IteratorReturnResult<undefined>> {
    const end = await this.#ended;
    if (end.kind === 'error') {
      if (end.isTooSlow) {
        // After the protocol has sent the error.
        setImmediate(() => this.#writer.closeSlowReader());
      }
      throw end.error;
    }
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#close();
    return { done: true, value: undefined };
  }

  async throw(error: unknown): Promise<never> {
    this.#close();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function authenticate(
  { contextOf, addressOf, admission }: SocketTransportOptions,
  { writer, request, cookie }: Extra,
  authorization: string | undefined,
): Promise<AuthenticatedConnection> {
  // Clients connect again after 4403, and can bring a fresh token then; after 4401 they give up.
  return admission.run(() =>
    authenticateConnection(
      contextOf,
      { authorization, cookie, requestId: randomUUID(), address: addressOf(request) },
      (reason) => writer.close(ProtocolCloseCode.Forbidden, reason.explanation),
    ),
  );
}

async function renew(options: SocketTransportOptions, extra: Extra, token: string): Promise<UserViewer> {
  const authorization = `Bearer ${token}`;
  const next = await authenticate(options, extra, authorization);
  const { viewer, refusal } = next.context;
  const present = extra.caller?.context.viewer;
  if (extra.socket.readyState !== extra.socket.OPEN) {
    // It was closed meanwhile, and nobody else will stop watching this credential.
    next.release();
  }
  if (viewer.kind === 'anonymous' || present?.kind !== 'user' || present.id !== viewer.id) {
    next.release();
    throw new CredentialsError(refusal?.explanation ?? 'The token is not one of the user who opened the connection.');
  }
  extra.authorization = authorization;
  extra.caller?.release();
  extra.caller = next;
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
