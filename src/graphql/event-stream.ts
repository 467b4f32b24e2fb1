import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ExecutionResult, getOperationAST, OperationTypeNode, parse } from 'graphql';
import { authenticateConnection } from '../accounts/credential-watch.ts';
import type { Sink, StreamEnd } from '../changes/delivery.ts';
import type { StreamEvent } from '../changes/filter.ts';
import type { Result } from '../changes/result.ts';
import type { Config } from '../config.ts';
import type { Connection } from '../context.ts';
import { AppError, type UnauthenticatedError } from '../errors.ts';
import type { CallOf } from '../host/calls.ts';
import type { Admission } from '../sockets/admission.ts';
import type { ConnectionLimiter } from '../sockets/connection-limiter.ts';
import { type PeerLimits, RETRY_AFTER_S } from '../sockets/peer-limits.ts';
import { presentError } from './mask.ts';
import { kindOf, type OperationRequest, type OperationTransport, prepare } from './operations.ts';
import { forStream } from './results.ts';
import { type OpenSubscription, openSubscription } from './subscriptions.ts';

/** How long a stream whose reader is too slow has left to read why, in milliseconds. */
const SLOW_READER_TIMEOUT_MS = 2_000;
/** How many bytes may wait for a reader before its subscription waits instead. */
const MAX_WAITING_BYTES = 64 * 1024;

const EVENT_STREAM = 'text/event-stream';

export interface EventStreamOptions extends OperationTransport {
  readonly callOf: CallOf;
  readonly connections: ConnectionLimiter<number>;
  readonly peers: PeerLimits;
  readonly admission: Admission;
  readonly sockets: Config['sockets'];
  /** How long a document may be. */
  readonly tokenLimit: number;
}

/** The event streams that are open, to be ended when the server closes. */
export class EventStreams {
  readonly #options: EventStreamOptions;
  readonly #open = new Set<() => void>();
  #isClosing = false;

  constructor(options: EventStreamOptions) {
    this.#options = options;
  }

  /**
   * Whether an operation should be answered as server-sent events: when the client prefers them, or when it accepts them and subscribes. Clients
   * like urql name them last with every operation.
   */
  wanted(request: FastifyRequest, operation: OperationRequest): boolean {
    const accepted = (request.headers.accept ?? '*/*')
      .split(',')
      .map((part) => part.split(';')[0]?.trim().toLowerCase());
    if (accepted[0] === EVENT_STREAM) {
      return true;
    }
    return (accepted.includes(EVENT_STREAM) || accepted.includes('*/*')) && this.subscribes(operation);
  }

  /** Whether an operation is a subscription; false for a document that cannot be parsed, which is answered with the reason as any other. */
  subscribes({ query, operationName }: OperationRequest): boolean {
    // For most operations the text alone says it.
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

  close(): void {
    this.#isClosing = true;
    for (const end of this.#open) {
      end();
    }
  }

  /**
   * Answers an operation as a stream of `next` events and a `complete` (the distinct connections mode of GraphQL over SSE). Events of change
   * subscriptions carry their cursor as `id`, so a browser's EventSource goes on by itself where it was interrupted. Beyond the limits of the
   * address or of the process it is refused with 503, before anything is done for it.
   */
  async answer(request: FastifyRequest, reply: FastifyReply, operation: OperationRequest): Promise<void> {
    const releasePeer = this.#options.peers.connect(request.raw);
    if (!releasePeer) {
      reply.header('retry-after', RETRY_AFTER_S);
      throw new AppError('OVERLOADED', 'Too many event streams are open. Try again later.');
    }
    reply.raw.once('close', releasePeer);
    const output = new EventOutput(reply, this.#options.sockets.keepAliveMs);
    const ending = new Ending();
    const close = (): void => {
      output.destroyAfter(SLOW_READER_TIMEOUT_MS);
      ending.end(null);
    };
    this.#open.add(close);
    output.onClose(() => ending.end(null));
    try {
      await this.#run(request, operation, output, ending);
    } catch (error) {
      await output.next({ errors: [presentError(error, request.id, this.#options.report)] });
    } finally {
      this.#open.delete(close);
      // A server that stops does not mean that nothing more would come: clients go on with another one.
      await (this.#isClosing ? output.cut() : output.complete());
    }
  }

  async #run(request: FastifyRequest, operation: OperationRequest, output: EventOutput, ending: Ending): Promise<void> {
    const { contextOf, callOf, admission, connections } = this.#options;
    const lastEventId = request.headers['last-event-id'];
    const connection: Connection = {
      resumeAfter: typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : null,
      renew: null,
    };
    const call = { ...callOf(request, null), connection };
    const { context, release } = await admission.run(() =>
      authenticateConnection(contextOf, call, (reason) => ending.end(reason)),
    );
    const { viewer } = context;
    const releaseConnection = viewer.kind === 'user' ? connections.acquire(viewer.id) : null;
    try {
      if (viewer.kind === 'user' && !releaseConnection) {
        throw new AppError('RATE_LIMITED', 'Too many event streams of this user.');
      }
      await this.#execute(request, operation, context, output, ending);
    } finally {
      release();
      releaseConnection?.();
    }
  }

  async #execute(
    { method }: FastifyRequest,
    operation: OperationRequest,
    context: Parameters<typeof prepare>[2],
    output: EventOutput,
    ending: Ending,
  ): Promise<void> {
    const { admission, engine, peers, report } = this.#options;
    const args = prepare(engine(), operation, context, report);
    if (!('document' in args)) {
      await output.next({ errors: args });
      return;
    }
    const kind = kindOf(args);
    if (method !== 'POST' && kind === OperationTypeNode.MUTATION) {
      // Any page can make a browser send a GET.
      throw new AppError('BAD_INPUT', 'Mutations are sent by POST.');
    }
    if (kind !== OperationTypeNode.SUBSCRIPTION) {
      await output.next(await engine().execute(args));
      return;
    }
    const subscription = await admission.run(() => openSubscription(args, peers, report));
    if (!('start' in subscription)) {
      await output.next(subscription);
      return;
    }
    const end = await ending.whenOver(subscription, output);
    if (end.kind === 'error') {
      if (end.isTooSlow) {
        output.destroyAfter(SLOW_READER_TIMEOUT_MS);
      }
      throw end.error;
    }
  }
}

/** The end of an event stream from the outside: its reader has gone, its credential has ended, or the server stops. */
class Ending {
  #reason: UnauthenticatedError | null = null;
  #isOver = false;
  #stop: () => void = () => undefined;

  end(reason: UnauthenticatedError | null): void {
    this.#isOver = true;
    this.#reason ??= reason;
    this.#stop();
  }

  /** Runs a subscription until it is over, from the outside or by itself. */
  async whenOver(subscription: OpenSubscription, output: EventOutput): Promise<StreamEnd> {
    this.#stop = subscription.close;
    const ended = new Promise<StreamEnd>((resolve) => {
      subscription.start(new EventSink(output, resolve));
    });
    if (this.#isOver) {
      subscription.close();
    }
    const end = await ended;
    return this.#reason ? { kind: 'error', error: this.#reason, isTooSlow: false } : end;
  }
}

/** Writes the results of a subscription. */
class EventSink implements Sink {
  readonly #output: EventOutput;
  readonly #onEnd: (end: StreamEnd) => void;

  constructor(output: EventOutput, onEnd: (end: StreamEnd) => void) {
    this.#output = output;
    this.#onEnd = onEnd;
  }

  isWritable(): boolean {
    return this.#output.isWritable;
  }

  onceWritable(callback: () => void): void {
    this.#output.onceWritable(callback);
  }

  send(result: Result, { cursor }: StreamEvent): void {
    this.#output.write(result.encode('text/event-stream', (text) => eventOf(text, cursor)));
  }

  end(end: StreamEnd): void {
    this.#onEnd(end);
  }
}

function eventOf(text: string, cursor: string | null): string {
  const id = cursor === null ? '' : `id: ${cursor}\n`;
  return `${id}event: next\ndata: ${text}\n\n`;
}

/** Writes server-sent events. */
class EventOutput {
  readonly #response: ServerResponse;
  readonly #ping: NodeJS.Timeout;

  constructor(reply: FastifyReply, keepAliveMs: number) {
    reply.hijack();
    this.#response = reply.raw;
    this.#response.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': `${EVENT_STREAM}; charset=utf-8`,
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
    });
    this.#response.write(':\n\n');
    this.#ping = setInterval(() => this.#response.write(':\n\n'), keepAliveMs);
    this.#ping.unref();
    this.#response.once('close', () => clearInterval(this.#ping));
  }

  onClose(callback: () => void): void {
    this.#response.once('close', callback);
    if (this.#response.destroyed) {
      callback();
    }
  }

  /** Whether the reader keeps up. */
  get isWritable(): boolean {
    return this.#response.writableLength < MAX_WAITING_BYTES;
  }

  /** Calls back once when the reader has caught up. */
  onceWritable(callback: () => void): void {
    this.#response.once('drain', callback);
  }

  write(bytes: Buffer): void {
    if (!this.#response.destroyed && !this.#response.writableEnded) {
      this.#response.write(bytes);
    }
  }

  async next(result: ExecutionResult): Promise<void> {
    await this.#written(eventOf(JSON.stringify(forStream(result)), null));
  }

  async complete(): Promise<void> {
    clearInterval(this.#ping);
    await this.#written('event: complete\ndata:\n\n');
    this.#response.end();
  }

  async cut(): Promise<void> {
    clearInterval(this.#ping);
    this.#response.end();
  }

  destroyAfter(delayMs: number): void {
    setTimeout(() => this.#response.destroy(), delayMs).unref();
  }

  async #written(text: string): Promise<void> {
    if (this.#response.destroyed || this.#response.writableEnded || this.#response.write(text)) {
      return;
    }
    const drained = new AbortController();
    await Promise.race(
      ['drain', 'close'].map((event) => once(this.#response, event, { signal: drained.signal })),
    ).finally(() => drained.abort());
  }
}
