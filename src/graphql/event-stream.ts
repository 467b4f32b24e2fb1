import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ExecutionResult, GraphQLError, getOperationAST, OperationTypeNode, parse } from 'graphql';
import { admit } from '../accounts/standing.ts';
import type { Config } from '../config.ts';
import type { Connection } from '../context.ts';
import { AppError, UnauthenticatedError } from '../errors.ts';
import type { Places } from '../host/sockets.ts';
import type { SharedResult } from './fan-out.ts';
import { presentError } from './mask.ts';
import { kindOf, type LiveDoor, type OperationRequest, prepare } from './operations.ts';
import { forStream } from './results.ts';

/** How long a stream whose reader is too slow has left to read why. */
const SLOW_READER_GRACE_MS = 2_000;

const EVENT_STREAM = 'text/event-stream';

export interface EventStreamDoor extends LiveDoor {
  readonly places: Places;
  readonly sockets: Config['sockets'];
  /** How long a document may be. */
  readonly tokenLimit: number;
}

/** The event streams that are open, to be ended when the server closes. */
export class EventStreams {
  readonly #door: EventStreamDoor;
  readonly #open = new Set<() => void>();
  #isClosing = false;

  constructor(door: EventStreamDoor) {
    this.#door = door;
  }

  /**
   * Whether an operation is to be answered as server-sent events: when the client prefers them, or when it takes them and subscribes. Clients
   * like urql name them last with every operation.
   */
  wanted(request: FastifyRequest, { query, operationName }: OperationRequest): boolean {
    const accepted = (request.headers.accept ?? '*/*')
      .split(',')
      .map((part) => part.split(';')[0]?.trim().toLowerCase());
    if (accepted[0] === EVENT_STREAM) {
      return true;
    }
    return (
      (accepted.includes(EVENT_STREAM) || accepted.includes('*/*')) &&
      subscribes(query, operationName, this.#door.tokenLimit)
    );
  }

  close(): void {
    this.#isClosing = true;
    for (const end of this.#open) {
      end();
    }
  }

  /**
   * Answers an operation as a stream of `next` events and a `complete` (the distinct connections mode of GraphQL over SSE). Events of change
   * subscriptions carry their cursor as `id`, so a browser's EventSource goes on by itself where it was interrupted.
   */
  async answer(request: FastifyRequest, reply: FastifyReply, operation: OperationRequest): Promise<void> {
    const { contextOf, engine, fanOut, places, report } = this.#door;
    const output = new EventOutput(reply, this.#door.sockets.keepAliveMs);
    const lastEventId = request.headers['last-event-id'];
    const state: { ended: UnauthenticatedError | true | null } = { ended: null };
    let stop = (): void => undefined;
    const end = (reason: UnauthenticatedError | null): void => {
      state.ended = reason ?? true;
      stop();
    };
    const connection: Connection = {
      resumeAfter: typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : null,
      renew: null,
      overflow: () => output.destroyAfter(SLOW_READER_GRACE_MS),
    };
    const admission = await admit(
      contextOf,
      { authorization: request.headers.authorization, requestId: request.id, address: request.ip, connection },
      end,
    );
    const { viewer, requestId } = admission.context;
    const freePlace = viewer.kind === 'user' ? places.take(viewer.id) : null;
    const close = (): void => {
      output.destroyAfter(SLOW_READER_GRACE_MS);
      end(null);
    };
    this.#open.add(close);
    output.onClose(() => end(null));
    try {
      if (viewer.kind === 'user' && !freePlace) {
        await output.next(failure(new AppError('RATE_LIMITED', 'Too many event streams of this user.')));
        return;
      }
      const args = prepare(engine(), operation, admission.context, report);
      if (!('document' in args)) {
        await output.next({ errors: args });
        return;
      }
      if (request.method === 'GET' && kindOf(args) === OperationTypeNode.MUTATION) {
        // Any page can make a browser send a GET.
        await output.next(failure(new AppError('BAD_INPUT', 'Mutations are sent by POST.')));
        return;
      }
      const result =
        kindOf(args) === OperationTypeNode.SUBSCRIPTION ? await fanOut.subscribe(args) : await engine().execute(args);
      if (!(Symbol.asyncIterator in result)) {
        await output.next(result);
        return;
      }
      stop = () => {
        result.return?.().catch(() => undefined);
      };
      if (state.ended) {
        stop();
      }
      for await (const event of result) {
        await output.shared(event);
      }
      if (state.ended instanceof UnauthenticatedError) {
        await output.next(failure(state.ended));
      }
    } catch (error) {
      await output.next({ errors: [presentError(error, requestId, report)] });
    } finally {
      this.#open.delete(close);
      admission.release();
      freePlace?.();
      // A server that stops does not mean that nothing more would come: clients go on with another one.
      await (this.#isClosing ? output.cut() : output.complete());
    }
  }
}

function subscribes(query: unknown, operationName: unknown, maxTokens: number): boolean {
  // Most operations are told by their text alone.
  if (typeof query !== 'string' || !query.includes('subscription')) {
    return false;
  }
  try {
    const name = typeof operationName === 'string' ? operationName : null;
    return (
      getOperationAST(parse(query, { maxTokens, noLocation: true }), name)?.operation === OperationTypeNode.SUBSCRIPTION
    );
  } catch {
    // What can't be parsed is answered with the reason, as any operation.
    return false;
  }
}

function failure(error: AppError): ExecutionResult {
  return { errors: [new GraphQLError(error.message, { extensions: { code: error.code } })] };
}

/** Writes server-sent events at the pace of the reader. */
class EventOutput {
  readonly #response: ServerResponse;
  readonly #ping: NodeJS.Timeout;

  constructor(reply: FastifyReply, keepAliveMs: number) {
    reply.hijack();
    this.#response = reply.raw;
    this.#response.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': `${EVENT_STREAM}; charset=utf-8`,
      'cache-control': 'no-cache, no-transform',
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

  async next(result: ExecutionResult): Promise<void> {
    await this.shared({ text: JSON.stringify(forStream(result)), cursor: null });
  }

  async shared({ text, cursor }: Pick<SharedResult, 'text' | 'cursor'>): Promise<void> {
    const id = cursor === null ? '' : `id: ${cursor}\n`;
    await this.#write(`${id}event: next\ndata: ${text}\n\n`);
  }

  async complete(): Promise<void> {
    clearInterval(this.#ping);
    await this.#write('event: complete\ndata:\n\n');
    this.#response.end();
  }

  async cut(): Promise<void> {
    clearInterval(this.#ping);
    this.#response.end();
  }

  destroyAfter(delayMs: number): void {
    setTimeout(() => this.#response.destroy(), delayMs).unref();
  }

  async #write(text: string): Promise<void> {
    if (this.#response.destroyed || this.#response.writableEnded || this.#response.write(text)) {
      return;
    }
    const drained = new AbortController();
    await Promise.race(
      ['drain', 'close'].map((event) => once(this.#response, event, { signal: drained.signal })),
    ).finally(() => drained.abort());
  }
}
