import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ExecutionResult, getOperationAST, OperationTypeNode, parse } from 'graphql';
import type { StreamEnd } from '../changes/delivery.ts';
import type { Config } from '../config/config.ts';
import type { Context, TransportConnection } from '../context.ts';
import { AppError, type UnauthenticatedError } from '../errors.ts';
import type { CallOf } from '../host/calls.ts';
import type { ConnectionClosers } from '../host/draining.ts';
import { authenticateConnection } from '../identity/credential-watch.ts';
import type { ConcurrencyLimiter } from '../sockets/concurrency-limiter.ts';
import type { ConnectionLimiter } from '../sockets/connection-limiter.ts';
import { type PeerLimits, RETRY_AFTER_S } from '../sockets/peer-limits.ts';
import type { ConnectionRecord, RequestRecord, Telemetry } from '../telemetry.ts';
import { maskError } from './mask.ts';
import { buildOperationArgs, operationTypeOf } from './operation-args.ts';
import { recordErrors, recordOperation } from './operation-record.ts';
import type { OperationTransport } from './operation-transport.ts';
import type { OperationRequest } from './persisted-operations.ts';
import { SSE_TYPE, SseOutput, SseSink } from './sse-output.ts';
import { type OpenSubscription, openSubscription } from './subscriptions.ts';

/** The time that a client has to read the last events before its connection is closed, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000;

export interface SseOptions extends OperationTransport {
  readonly callOf: CallOf;
  readonly connections: ConnectionLimiter<number>;
  readonly peers: PeerLimits;
  readonly startLimiter: ConcurrencyLimiter;
  readonly sockets: Config['sockets'];
  /** The maximum number of tokens in a document. */
  readonly tokenLimit: number;
}

/** GraphQL over server-sent events. */
export class SseTransport {
  readonly #options: SseOptions;
  /** The functions that end the open subscriptions. */
  readonly #open = new Set<() => void>();
  #isDraining = false;

  constructor(options: SseOptions) {
    this.#options = options;
  }

  /**
   * Returns whether an operation is answered with server-sent events: when the client prefers them, or when it accepts
   * them and the operation is a subscription. Clients like urql list them last in `Accept` for every operation.
   */
  accepts(request: FastifyRequest, operation: OperationRequest): boolean {
    const accepted = (request.headers.accept ?? '*/*')
      .split(',')
      .map((part) => part.split(';')[0]?.trim().toLowerCase());
    if (accepted[0] === SSE_TYPE) {
      return true;
    }
    return (accepted.includes(SSE_TYPE) || accepted.includes('*/*')) && this.isSubscription(operation);
  }

  /** Returns whether an operation is a subscription; false for a document with a syntax error, which is reported later. */
  isSubscription({ query, operationName }: OperationRequest): boolean {
    // Most documents need not be parsed to see that they have no subscription.
    if (typeof query !== 'string' || !query.includes('subscription')) {
      return false;
    }
    try {
      const name = typeof operationName === 'string' ? operationName : null;
      const document = parse(query, { maxTokens: this.#options.tokenLimit, noLocation: true });
      return getOperationAST(document, name)?.operation === OperationTypeNode.SUBSCRIPTION;
    } catch {
      return false;
    }
  }

  /** Refuses further subscriptions. Returns the functions that end those that are open. */
  drain(): ConnectionClosers {
    this.#isDraining = true;
    return [...this.#open];
  }

  /**
   * Answers an operation with `next` events and a `complete` event: the distinct connections mode of the GraphQL over SSE
   * protocol. Events of change subscriptions have their cursor as `id`, so that an EventSource resumes after an interruption.
   *
   * @throws {AppError} `OVERLOADED` when the address or the process has as many connections as allowed, or the server stops
   */
  async answer(request: FastifyRequest, reply: FastifyReply, operation: OperationRequest): Promise<void> {
    const isSubscription = this.isSubscription(operation);
    if (this.#isDraining && isSubscription) {
      reply.header('retry-after', RETRY_AFTER_S);
      throw new AppError('OVERLOADED', 'The server is about to stop. Connect again, to another one.');
    }
    const releasePeer = this.#options.peers.acquireConnection(request.raw);
    if (!releasePeer) {
      reply.header('retry-after', RETRY_AFTER_S);
      throw new AppError('OVERLOADED', 'Too many event streams are open. Try again later.');
    }
    recordStream(this.#options.telemetry, request, reply);
    reply.raw.once('close', releasePeer);
    const output = new SseOutput(reply, this.#options.sockets.keepAliveMs);
    const run = new SubscriptionRun();
    let isCut = false;
    const cut = (): void => {
      isCut = true;
      output.destroyAfter(CLOSE_TIMEOUT_MS);
      run.stop(null);
    };
    if (isSubscription) {
      this.#open.add(cut);
    }
    output.onClose(() => run.stop(null));
    try {
      await this.#authenticateAndExecute(request, operation, output, run);
    } catch (error) {
      await send(output, request.record, { errors: [maskError(error, request.id, this.#options.report)] });
    } finally {
      this.#open.delete(cut);
      // Without `complete` when the server stops: the client resumes the subscription on another server.
      await (isCut ? output.cut() : output.complete());
    }
  }

  async #authenticateAndExecute(
    request: FastifyRequest,
    operation: OperationRequest,
    output: SseOutput,
    run: SubscriptionRun,
  ): Promise<void> {
    const { contextOf, callOf, startLimiter, connections } = this.#options;
    const lastEventId = request.headers['last-event-id'];
    const connection: TransportConnection = {
      resumeAfter: typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : null,
      renew: null,
    };
    const call = { ...callOf(request, null), connection };
    const { context, release } = await startLimiter.run(() =>
      authenticateConnection(contextOf, call, (reason) => run.stop(reason)),
    );
    const { viewer } = context;
    const releaseConnection = viewer.kind === 'user' ? connections.acquire(viewer.id) : null;
    try {
      if (viewer.kind === 'user' && !releaseConnection) {
        throw new AppError('RATE_LIMITED', 'This user has too many open event streams. Close some of them.');
      }
      await this.#execute(request, operation, context, output, run);
    } finally {
      release();
      releaseConnection?.();
    }
  }

  async #execute(
    { method }: FastifyRequest,
    operation: OperationRequest,
    context: Context,
    output: SseOutput,
    run: SubscriptionRun,
  ): Promise<void> {
    const { startLimiter, engine, peers, report } = this.#options;
    const args = buildOperationArgs(engine(), operation, context, report);
    if (!('document' in args)) {
      await send(output, context.record, { errors: args });
      return;
    }
    recordOperation(context, args);
    const type = operationTypeOf(args);
    if (method !== 'POST' && type === OperationTypeNode.MUTATION) {
      // A page of any origin can make a browser send a GET request (CSRF).
      throw new AppError('BAD_INPUT', 'Mutations must be sent by POST.');
    }
    if (type !== OperationTypeNode.SUBSCRIPTION) {
      await send(output, context.record, await engine().execute(args));
      return;
    }
    const subscription = await startLimiter.run(() => openSubscription(args, peers, report));
    if (!('start' in subscription)) {
      await send(output, context.record, subscription);
      return;
    }
    const end = await run.untilEnd(subscription, output, context.record);
    if (end.kind === 'error') {
      if (end.isTooSlow) {
        output.destroyAfter(CLOSE_TIMEOUT_MS);
      }
      throw end.error;
    }
  }
}

/** Reports that an event stream is open and, when its connection is closed, that it and its operation have ended. */
function recordStream(telemetry: Telemetry, { id, record }: FastifyRequest, reply: FastifyReply): void {
  record.transport = 'SSE';
  record.connectionId = id;
  const { address, startedAt } = record;
  const connection: ConnectionRecord = { id, protocol: 'sse', address, startedAt, userId: null };
  telemetry.report({ kind: 'connected', connection });
  reply.raw.once('close', () => {
    connection.userId = record.userId;
    telemetry.report({ kind: 'disconnected', connection, code: null, reason: '' });
  });
}

/** Sends a result, and records the codes of its errors. */
async function send(output: SseOutput, record: RequestRecord | null, result: ExecutionResult): Promise<void> {
  recordErrors(record, result.errors);
  await output.next(result);
}

/** The run of a subscription, which can be stopped before and after it starts: by its client, its credential or the server. */
class SubscriptionRun {
  #reason: UnauthenticatedError | null = null;
  #isStopped = false;
  #close: () => void = () => undefined;

  /** Stops the subscription; `reason` is the error that the client receives, if any. */
  stop(reason: UnauthenticatedError | null): void {
    this.#isStopped = true;
    this.#reason ??= reason;
    this.#close();
  }

  /** Starts a subscription and waits for its end. */
  async untilEnd(subscription: OpenSubscription, output: SseOutput, record: RequestRecord | null): Promise<StreamEnd> {
    this.#close = subscription.close;
    const ended = new Promise<StreamEnd>((resolve) => {
      subscription.start(new SseSink(output, record, resolve));
    });
    if (this.#isStopped) {
      subscription.close();
    }
    const end = await ended;
    return this.#reason ? { kind: 'error', error: this.#reason, isTooSlow: false } : end;
  }
}
