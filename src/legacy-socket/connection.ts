import { randomUUID } from 'node:crypto';
import type { Sink, StreamEnd } from '../changes/delivery.ts';
import type { ChangeEvent, EventAction, StreamEvent, SubscriptionFilter } from '../changes/filter.ts';
import type { Result } from '../changes/result.ts';
import type { Stream } from '../changes/stream.ts';
import type { Context } from '../context.ts';
import { AppError } from '../errors.ts';
import { complexityOf } from '../json.ts';
import { CloseCode } from '../sockets/close-codes.ts';
import type { SocketCredentials, SocketTransport } from '../sockets/handshake.ts';
import type { SocketWriter } from '../sockets/socket-writer.ts';
import {
  type Address,
  broadcastHead,
  broadcastTail,
  errorFrame,
  type Frame,
  idOf,
  readFrame,
  styleOf,
} from './frames.ts';
import { narrowed } from './model.ts';
import { InstanceRenderer } from './renderer.ts';
import { denialOf, type LegacyModels, readRequest, type Subscribe, unknownSubscription } from './requests.ts';

export interface LegacyConnectionOptions
  extends Pick<SocketTransport, 'admission' | 'contextOf' | 'peers' | 'sockets' | 'report'> {
  readonly models: LegacyModels;
  /** The IP address of the peer. */
  readonly address: string;
}

interface Subscription {
  readonly address: Address;
  /** Null when the viewer may not see any of it, about which the first generation receives nothing. */
  readonly stream: Stream | null;
  /** What the client receives when its access ends. */
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

  /** Does what a frame asks for. The next one has to wait for that, so that they take effect in the order in which they came. */
  async receive(text: string): Promise<void> {
    const problem = complexityOf(text);
    const frame = problem ? null : readFrame(text);
    if (!frame) {
      this.#reply({ style: 'first', id: null }, problem ?? new AppError('BAD_INPUT', 'The frame is no JSON object.'));
      return;
    }
    const style = styleOf(frame);
    let address: Address | null = null;
    try {
      address = { style, id: idOf(frame, style) };
      const request = readRequest(frame, style, this.#options.models);
      if (request.kind === 'unsubscribe') {
        this.#unsubscribe(address);
      } else {
        const place = address;
        await this.#options.admission.run(() => this.#subscribe(place, request, frame));
      }
    } catch (error) {
      this.#reply(address ?? { style, id: null }, error);
    }
  }

  /** Ends every subscription. */
  close(): void {
    this.#isClosed = true;
    for (const subscription of this.#subscriptions) {
      this.#end(subscription);
    }
  }

  async #subscribe(address: Address, request: Subscribe, frame: Frame): Promise<void> {
    const { contextOf, peers, sockets, address: peer } = this.#options;
    const { model, after } = request;
    if (this.#subscriptions.size >= sockets.maxSubscriptions) {
      throw new AppError('RATE_LIMITED', `A socket carries at most ${sockets.maxSubscriptions} subscriptions.`);
    }
    const context = await contextOf({
      ...this.#credentials,
      requestId: randomUUID(),
      address: peer,
      waits: true,
    });
    if (context.refusal) {
      this.#writer.close(CloseCode.forbidden, context.refusal.message);
      return;
    }
    const denied = denialOf(frame, address.style);
    const stream = await peers.subscribe(
      context.address,
      async () => {
        const filter = await this.#filter(request, context, denied);
        return filter && context.feed.open(filter, after || null, context.cursor);
      },
      (opened) => opened,
    );
    try {
      // After the stream was opened: a change of the row from here on is sent.
      await expectRow(request, context);
    } catch (error) {
      stream?.close();
      throw error;
    }
    const subscription: Subscription = { address, stream, denied };
    this.#subscriptions.add(subscription);
    if (this.#isClosed) {
      this.#end(subscription);
      return;
    }
    stream?.start(
      new InstanceRenderer(model, context),
      new BroadcastSink(this.#writer, { address, model: model.name, withCursors: after !== null }, (end) =>
        this.#onEnd(subscription, end),
      ),
    );
  }

  async #filter(
    { model, narrowings }: Subscribe,
    context: Context,
    denied: AppError | null,
  ): Promise<SubscriptionFilter | null> {
    const ids = Object.assign({}, ...narrowings.map(({ ids }) => ids));
    try {
      return narrowed(await model.watch(context, ids, denied !== null), model.of, narrowings);
    } catch (error) {
      if (!isDenial(error)) {
        throw error;
      }
      if (denied) {
        throw denied;
      }
      return null;
    }
  }

  #unsubscribe(address: Address): void {
    for (const subscription of this.#subscriptions) {
      if (subscription.address.style === address.style && subscription.address.id === address.id) {
        this.#end(subscription);
        return;
      }
    }
    throw unknownSubscription(address.style);
  }

  #end(subscription: Subscription): void {
    this.#subscriptions.delete(subscription);
    subscription.stream?.close();
  }

  /** The stream of a subscription is over, also when its client ended it. */
  #onEnd(subscription: Subscription, end: StreamEnd): void {
    if (!this.#subscriptions.delete(subscription)) {
      return;
    }
    const { address, denied } = subscription;
    if (end.kind === 'error') {
      this.#reply(address, end.error);
      if (end.isTooSlow) {
        this.#writer.closeSlowReader();
      }
    } else if (denied) {
      this.#reply(address, denied);
    }
  }

  /** Reports a failure to the client, and an unexpected one to the log. */
  #reply(address: { style: Address['style']; id: Address['id'] | null }, error: unknown): void {
    if (this.#isClosed) {
      return;
    }
    const expected = error instanceof AppError ? error : new AppError('INTERNAL');
    if (expected !== error) {
      this.#options.report(error, null);
    }
    this.#writer.sendText(errorFrame(address, expected.status, expected.message));
  }
}

/** What the broadcasts of one subscription have in common. */
interface Broadcast {
  readonly address: Address;
  readonly model: string;
  readonly withCursors: boolean;
}

/** Writes the broadcasts of one subscription. */
class BroadcastSink implements Sink {
  readonly #writer: SocketWriter;
  readonly #broadcast: Broadcast;
  readonly #onEnd: (end: StreamEnd) => void;
  readonly #heads = new Map<EventAction, Buffer>();

  constructor(writer: SocketWriter, broadcast: Broadcast, onEnd: (end: StreamEnd) => void) {
    this.#writer = writer;
    this.#broadcast = broadcast;
    this.#onEnd = onEnd;
  }

  isWritable(): boolean {
    return this.#writer.isWritable;
  }

  onceWritable(callback: () => void): void {
    this.#writer.onceWritable(callback);
  }

  send(result: Result, event: StreamEvent): void {
    const { action, cursor } = event as ChangeEvent;
    this.#writer.send(
      this.#headOf(action),
      result.encode('instance', (text) => text),
      Buffer.from(broadcastTail(this.#broadcast.withCursors ? cursor : null)),
    );
  }

  end(end: StreamEnd): void {
    this.#onEnd(end);
  }

  #headOf(action: EventAction): Buffer {
    let head = this.#heads.get(action);
    if (!head) {
      head = Buffer.from(broadcastHead(this.#broadcast.address, this.#broadcast.model, action));
      this.#heads.set(action, head);
    }
    return head;
  }
}

/**
 * @throws {AppError} `NOT_FOUND` when a subscription is about one row and the viewer sees no such row
 */
async function expectRow({ model, lookup, narrowings }: Subscribe, context: Context): Promise<void> {
  if (lookup === null) {
    return;
  }
  const row = await model.find(context, lookup);
  if (!row || !narrowings.every(({ fits }) => fits(row))) {
    throw new AppError('NOT_FOUND', "Instance not found. Make sure 'lookup_by' is set to a valid ID");
  }
}

function isDenial(error: unknown): boolean {
  return error instanceof AppError && (error.code === 'UNAUTHENTICATED' || error.code === 'NOT_FOUND');
}
