import { randomUUID } from 'node:crypto';
import { GraphQLError } from 'graphql';
import { makeServer, CloseCode as ProtocolCloseCode, type SubscribePayload } from 'graphql-ws';
import { AppError } from '../errors.ts';
import { connectionIdOf, recordUser } from '../sockets/connection-records.ts';
import { beginRecord, type RequestRecord } from '../telemetry.ts';
import { limitErrors } from './error-limits.ts';
import { formatError, formatResult } from './format-result.ts';
import { maskError } from './mask.ts';
import { buildOperationArgs, type OperationArgs, operationTypeOf } from './operation-args.ts';
import { recordEnd, recordErrors, recordOperation, reportEnd } from './operation-record.ts';
import { authenticateCaller, type SocketConnection, type SocketTransportOptions } from './socket-connection.ts';
import { SocketSink } from './socket-sink.ts';
import { type OpenSubscription, openSubscription } from './subscriptions.ts';

/** The maximum length of an operation id, which each message of the operation repeats. */
const MAX_ID_LENGTH = 1000;

interface OpenedSubscription {
  readonly subscription: OpenSubscription;
  readonly sink: SocketSink;
}

/** Creates the graphql-ws server, which speaks the graphql-transport-ws protocol. */
export function createProtocol(options: SocketTransportOptions) {
  const { engine, startLimiter, report, sockets } = options;
  /** The opened subscriptions, by the arguments that graphql-ws passes from `onSubscribe` to `subscribe`. */
  const opened = new WeakMap<object, OpenedSubscription>();
  return makeServer<Record<string, unknown>, SocketConnection>({
    connectionInitWaitTimeout: sockets.initTimeoutMs,
    onConnect: (ctx) => {
      // graphql-ws stores null for an operation until its subscription is established, or its result is sent.
      ctx.extra.isAnswering = () => Object.values(ctx.subscriptions).includes(null);
      return connect(options, ctx.extra, ctx.connectionParams);
    },
    onSubscribe: async ({ extra, subscriptions }, id, payload) => {
      if (id.length > MAX_ID_LENGTH) {
        extra.writer.close(ProtocolCloseCode.BadRequest, `The id has more than ${MAX_ID_LENGTH} characters`);
        return [];
      }
      if (Object.keys(subscriptions).length > sockets.maxSubscriptions) {
        return [
          toGraphQLError(
            new AppError('RATE_LIMITED', `A socket carries at most ${sockets.maxSubscriptions} operations.`),
          ),
        ];
      }
      return startLimiter.run(() => beginOperation(options, extra, { id, payload }, opened));
    },
    execute: async (args) => {
      const { contextValue } = args as OperationArgs;
      const { record, telemetry } = contextValue;
      try {
        const result = await telemetry.enter(record, () => engine().execute(args as OperationArgs));
        recordErrors(record, result.errors);
        return result;
      } catch (error) {
        recordEnd(contextValue, error as Error);
        throw error;
      } finally {
        reportEnd(telemetry, record);
      }
    },
    subscribe: async (args) => {
      const { subscription, sink } = opened.get(args) ?? {};
      if (!subscription || !sink) {
        throw new Error('A subscription is started that onSubscribe has not opened.');
      }
      subscription.start(sink);
      return sink;
    },
    onNext: (_ctx, _id, _payload, _args, result) => formatResult(result),
    onError: (_ctx, _id, _payload, errors) =>
      limitErrors(errors, (error) => maskError(error, null, report)).map(formatError),
  });
}

/** Authenticates the caller by the `ConnectionInit` message or the upgrade request. Returns false after it has closed the socket. */
async function connect(
  options: SocketTransportOptions,
  state: SocketConnection,
  connectionParams: Record<string, unknown> | undefined,
): Promise<boolean> {
  state.authorization = authorizationOf(connectionParams) ?? state.request.headers.authorization;
  const caller = await authenticateCaller(options, state, state.authorization);
  state.caller = caller;
  const { viewer, refusal } = caller.context;
  recordUser(state.request, viewer.kind === 'user' ? viewer.id : null);
  if (refusal) {
    state.writer.close(ProtocolCloseCode.Forbidden, refusal.explanation);
    return false;
  }
  if (viewer.kind === 'user') {
    state.releaseConnection = options.connections.acquire(viewer.id);
    if (!state.releaseConnection) {
      state.writer.close(ProtocolCloseCode.TooManyInitialisationRequests, 'Too many sockets of this user');
      return false;
    }
  }
  if (state.socket.readyState !== state.socket.OPEN) {
    // The socket was closed during the authentication, and the handler of its `close` event has already run.
    caller.release();
    state.releaseConnection?.();
  }
  return true;
}

/** A `Subscribe` message. */
interface SubscribeMessage {
  readonly id: string;
  readonly payload: SubscribePayload;
}

type OpenedSubscriptions = WeakMap<object, OpenedSubscription>;

/** Returns the arguments of an operation, whose subscription is then open, or the errors by which it fails. */
async function beginOperation(
  options: SocketTransportOptions,
  state: SocketConnection,
  message: SubscribeMessage,
  opened: OpenedSubscriptions,
): Promise<OperationArgs | readonly GraphQLError[]> {
  const { addressOf, report, telemetry } = options;
  const { request } = state;
  const record = beginRecord({
    id: randomUUID(),
    transport: 'WebSocket',
    address: addressOf(request),
    connectionId: connectionIdOf(request),
  });
  const begun = await telemetry
    .enter(record, () => openOperation(options, state, message, record, opened))
    .catch((error: unknown) => [maskError(error, record.id, report)]);
  if (!('document' in begun)) {
    recordErrors(record, begun);
    reportEnd(telemetry, record);
  }
  return begun;
}

async function openOperation(
  { contextOf, engine, persisted, peers, report }: SocketTransportOptions,
  { authorization, cookie, connection, request, writer }: SocketConnection,
  { id, payload }: SubscribeMessage,
  record: RequestRecord,
  opened: OpenedSubscriptions,
): Promise<OperationArgs | readonly GraphQLError[]> {
  const context = await contextOf({
    authorization,
    cookie,
    requestId: record.id,
    address: record.address,
    record,
    userAgent: request.headers['user-agent'],
    connection,
    waits: true,
  });
  const args = buildOperationArgs(engine(), persisted.resolve(payload), context, report);
  if (!('document' in args) || operationTypeOf(args) !== 'subscription') {
    return args;
  }
  recordOperation(context, args);
  // Here rather than in `subscribe`, so that a subscription that cannot start ends with the protocol's `error` message.
  const subscription = await openSubscription(args, peers, report);
  if (!('start' in subscription)) {
    return subscription.errors ?? [new GraphQLError('The subscription has no stream.')];
  }
  opened.set(args, { subscription, sink: new SocketSink(writer, id, record, subscription.close) });
  return args;
}

/** Returns the `authorization` of the `ConnectionInit` payload, in any case of letters. */
function authorizationOf(params: Record<string, unknown> | undefined): string | undefined {
  for (const [name, value] of Object.entries(params ?? {})) {
    if (name.toLowerCase() === 'authorization' && typeof value === 'string') {
      return value;
    }
  }
  return undefined;
}

function toGraphQLError(error: AppError): GraphQLError {
  return new GraphQLError(error.message, { extensions: { code: error.code } });
}
