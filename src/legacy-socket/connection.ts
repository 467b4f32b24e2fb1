import { randomUUID } from 'node:crypto';
import type { StreamEnd } from '../changes/delivery.ts';
import type { SubscriptionFilter } from '../changes/filter.ts';
import type { Stream } from '../changes/stream.ts';
import type { Context } from '../context.ts';
import { AppError } from '../errors.ts';
import { complexityOf } from '../json.ts';
import { CloseCode } from '../sockets/close-codes.ts';
import type { SocketCredentials, SocketTransport } from '../sockets/handshake.ts';
import type { SocketWriter } from '../sockets/socket-writer.ts';
import { BroadcastSink } from './broadcast-sink.ts';
import { errorFrame, type Frame, generationOf, idOf, jsonOfId, type RequestKey, readFrame } from './frames.ts';
import { withRowFilters } from './model.ts';
import { InstanceRenderer } from './renderer.ts';
import { denialOf, type LegacyModels, readRequest, type Subscribe, unknownSubscription } from './requests.ts';

export interface LegacyConnectionOptions
  extends Pick<SocketTransport, 'startLimiter' | 'contextOf' | 'peers' | 'sockets' | 'report'> {
  readonly models: LegacyModels;
  /** The IP address of the client. */
  readonly address: string;
}

interface Subscription {
  readonly key: RequestKey;
  /** Null when the viewer has no access, for which the first generation has no error: its client receives nothing. */
  readonly stream: Stream | null;
  /** The error that the client receives when its access ends; null in the first generation. */
  readonly denied: AppError | null;
}

/** The subscriptions of one socket. */
export class LegacyConnection {
  readonly #options: LegacyConnectionOptions;
  readonly #writer: SocketWriter;
  readonly #credentials: SocketCredentials;
  readonly #subscriptions = new Set<Subscription>();
  #isClosed = false;

  constructor(options: LegacyConnectionOptions, writer: SocketWriter, credentials: SocketCredentials) {
    this.#options = options;
    this.#writer = writer;
    this.#credentials = credentials;
  }

  /** Handles a frame. The caller waits for the result before it passes the next frame, so that frames take effect in order. */
  async receive(text: string): Promise<void> {
    const problem = complexityOf(text);
    const frame = problem ? null : readFrame(text);
    if (!frame) {
      this.#reply(
        { generation: 'first', id: null },
        problem ?? new AppError('BAD_INPUT', 'The frame must be a JSON object.'),
      );
      return;
    }
    const generation = generationOf(frame);
    let key: RequestKey | null = null;
    try {
      key = { generation, id: idOf(frame, generation) };
      const request = readRequest(frame, generation, this.#options.models);
      if (request.kind === 'unsubscribe') {
        this.#unsubscribe(key);
      } else {
        const subscriptionKey = key;
        await this.#options.startLimiter.run(() => this.#subscribe(subscriptionKey, request, frame));
      }
    } catch (error) {
      this.#reply(key ?? { generation, id: null }, error);
    }
  }

  /** Ends every subscription. */
  close(): void {
    this.#isClosed = true;
    for (const subscription of this.#subscriptions) {
      this.#end(subscription);
    }
  }

  async #subscribe(key: RequestKey, request: Subscribe, frame: Frame): Promise<void> {
    const { contextOf, peers, sockets, address } = this.#options;
    const { model, after } = request;
    if (this.#subscriptions.size >= sockets.maxSubscriptions) {
      throw new AppError('RATE_LIMITED', `A socket carries at most ${sockets.maxSubscriptions} subscriptions.`);
    }
    const context = await contextOf({
      ...this.#credentials,
      requestId: randomUUID(),
      address,
      waits: true,
    });
    if (context.refusal) {
      this.#writer.close(CloseCode.forbidden, context.refusal.message);
      return;
    }
    const denied = denialOf(frame, key.generation);
    const stream = await peers.acquireSubscription(
      context.address,
      async () => {
        const filter = await this.#filter(request, context, denied);
        return filter && context.feed.open(filter, after || null, context.cursor);
      },
      (opened) => opened,
    );
    try {
      // After the stream is open, so that no change of the row is missed in between.
      await requireRow(request, context);
    } catch (error) {
      stream?.close();
      throw error;
    }
    const subscription: Subscription = { key, stream, denied };
    this.#subscriptions.add(subscription);
    if (this.#isClosed) {
      this.#end(subscription);
      return;
    }
    stream?.start(
      new InstanceRenderer(model, context),
      new BroadcastSink(this.#writer, { key, model: model.name, withCursors: after !== null }, (end) =>
        this.#onEnd(subscription, end),
      ),
    );
  }

  async #filter(
    { model, rowFilters }: Subscribe,
    context: Context,
    denied: AppError | null,
  ): Promise<SubscriptionFilter | null> {
    const ids = Object.assign({}, ...rowFilters.map(({ ids }) => ids));
    try {
      return withRowFilters(await model.watch(context, ids, denied !== null), model.source, rowFilters);
    } catch (error) {
      if (!isAccessDenied(error)) {
        throw error;
      }
      if (denied) {
        throw denied;
      }
      return null;
    }
  }

  #unsubscribe({ generation, id }: RequestKey): void {
    for (const subscription of this.#subscriptions) {
      if (subscription.key.generation === generation && jsonOfId(subscription.key.id) === jsonOfId(id)) {
        this.#end(subscription);
        return;
      }
    }
    throw unknownSubscription(generation);
  }

  #end(subscription: Subscription): void {
    this.#subscriptions.delete(subscription);
    subscription.stream?.close();
  }

  /** Handles the end of a stream, also when the client has ended the subscription. */
  #onEnd(subscription: Subscription, end: StreamEnd): void {
    if (!this.#subscriptions.delete(subscription)) {
      return;
    }
    const { key, denied } = subscription;
    if (end.kind === 'error') {
      this.#reply(key, end.error);
      if (end.isTooSlow) {
        this.#writer.closeSlowReader();
      }
    } else if (denied) {
      this.#reply(key, denied);
    }
  }

  /** Sends an error to the client, and logs an unexpected one. */
  #reply(key: { generation: RequestKey['generation']; id: RequestKey['id'] | null }, error: unknown): void {
    if (this.#isClosed) {
      return;
    }
    const expected = error instanceof AppError ? error : new AppError('INTERNAL');
    if (expected !== error) {
      this.#options.report(error, null);
    }
    this.#writer.sendText(errorFrame(key, expected.status, expected.message));
  }
}

/**
 * Checks that the row of a `retrieve` subscription exists.
 *
 * @throws {AppError} `NOT_FOUND` when the viewer sees no such row
 */
async function requireRow({ model, lookup, rowFilters }: Subscribe, context: Context): Promise<void> {
  if (lookup === null) {
    return;
  }
  const row = await model.find(context, lookup);
  if (!row || !rowFilters.every(({ matches }) => matches(row))) {
    throw new AppError('NOT_FOUND', "Instance not found. Make sure 'lookup_by' is set to a valid ID");
  }
}

function isAccessDenied(error: unknown): boolean {
  return error instanceof AppError && (error.code === 'UNAUTHENTICATED' || error.code === 'NOT_FOUND');
}
