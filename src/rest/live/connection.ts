import { randomUUID } from 'node:crypto';
import type { WebSocket } from 'ws';
import type { Stream } from '../../changes/stream.ts';
import type { StreamEvent, Watch } from '../../changes/watch.ts';
import type { Context } from '../../context.ts';
import { acrossOutages } from '../../database/outages.ts';
import { AppError, ERROR_CATALOGUE } from '../../errors.ts';
import { CloseReason, dropSlowReader, sendText } from '../../host/sockets.ts';
import type { SocketDoor } from '../handshake.ts';
import { type Address, broadcastFrame, errorFrame, type Frame, idOf, readFrame, styleOf } from './frames.ts';
import { type AnyLiveModel, narrowed } from './model.ts';
import { denialOf, type LiveModels, readRequest, type Subscribe, unknownSubscription } from './requests.ts';
import type { SharedTexts } from './shared-texts.ts';

export interface LiveDoor extends Pick<SocketDoor, 'contextOf' | 'sockets' | 'report'> {
  readonly models: LiveModels;
  readonly instances: SharedTexts;
}

interface Subscription {
  readonly address: Address;
  readonly model: AnyLiveModel;
  readonly context: Context;
  /** Null when the viewer may not see any of it, which the first generation is not told. */
  readonly stream: Stream | null;
  /** Whether its broadcasts carry their cursor. */
  readonly withCursors: boolean;
  /** What its client is told when the right to it ends. */
  readonly denied: AppError | null;
}

/** What one socket has subscribed to. */
export class LiveConnection {
  readonly #door: LiveDoor;
  readonly #socket: WebSocket;
  readonly #authorization: string | undefined;
  readonly #subscriptions = new Set<Subscription>();
  #closed = false;

  constructor(door: LiveDoor, socket: WebSocket, authorization: string | undefined) {
    this.#door = door;
    this.#socket = socket;
    this.#authorization = authorization;
  }

  /** Does what a frame asks for. The next one is to wait for that, so that they take effect in the order in which they came. */
  async take(text: string): Promise<void> {
    const frame = readFrame(text);
    if (!frame) {
      await this.#tell({ style: 'first', id: null }, new AppError('BAD_INPUT', 'The frame is no JSON object.'));
      return;
    }
    const style = styleOf(frame);
    let address: Address | null = null;
    try {
      address = { style, id: idOf(frame, style) };
      const request = readRequest(frame, style, this.#door.models);
      if (request.kind === 'unsubscribe') {
        await this.#unsubscribe(address);
      } else {
        await this.#subscribe(address, request, frame);
      }
    } catch (error) {
      await this.#tell(address ?? { style, id: null }, error);
    }
  }

  /** Ends every subscription. */
  close(): void {
    this.#closed = true;
    for (const subscription of this.#subscriptions) {
      this.#end(subscription);
    }
  }

  async #subscribe(address: Address, request: Subscribe, frame: Frame): Promise<void> {
    const { contextOf, sockets } = this.#door;
    const { model, after } = request;
    if (this.#subscriptions.size >= sockets.maxSubscriptions) {
      throw new AppError('RATE_LIMITED', `A socket carries at most ${sockets.maxSubscriptions} subscriptions.`);
    }
    const context = await contextOf({ authorization: this.#authorization, requestId: randomUUID(), waits: true });
    if (context.refusal) {
      this.#socket.close(CloseReason.forbidden, context.refusal.message);
      return;
    }
    const denied = denialOf(frame, address.style);
    const watch = await this.#watch(request, context, denied);
    const stream = watch && (await context.feed.subscribe(watch, after || null, () => dropSlowReader(this.#socket)));
    try {
      // After the stream has begun: what happens to the row from here on is told.
      await expectRow(request, context);
    } catch (error) {
      await stream?.return();
      throw error;
    }
    const subscription = { address, model, context, stream, withCursors: after !== null, denied };
    this.#subscriptions.add(subscription);
    if (this.#closed) {
      this.#end(subscription);
    } else if (stream) {
      // It runs beside the frames that follow, and tells its failures itself.
      this.#run(subscription, stream).catch((error: unknown) => this.#door.report(error, context.requestId));
    }
  }

  async #watch({ model, narrowings }: Subscribe, context: Context, denied: AppError | null): Promise<Watch | null> {
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

  async #unsubscribe(address: Address): Promise<void> {
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
    subscription.stream?.return();
  }

  async #run(subscription: Subscription, stream: Stream): Promise<void> {
    const { address, denied } = subscription;
    try {
      for await (const event of stream) {
        const text = await this.#broadcast(subscription, stream.watch, event);
        if (!this.#subscriptions.has(subscription)) {
          return;
        }
        await (text === null ? null : sendText(this.#socket, text));
      }
      if (this.#subscriptions.delete(subscription) && denied) {
        throw denied;
      }
    } catch (error) {
      this.#subscriptions.delete(subscription);
      await this.#tell(address, error);
    }
  }

  /** The frame of an event; null when there is nothing to tell any more. */
  async #broadcast(
    { address, model, context, withCursors }: Subscription,
    watch: Watch,
    event: StreamEvent,
  ): Promise<string | null> {
    const { action, id, row } = event;
    const cursor = withCursors ? event.cursor : null;
    if (row === null) {
      return broadcastFrame(address, model.name, action, JSON.stringify({ pk: id, id }), cursor);
    }
    try {
      const instance = await this.#door.instances.get(nameOf(model, event, context), async () => {
        const shown = await acrossOutages(context.database, () => model.instance(row as never, context));
        return shown === null ? null : JSON.stringify(shown);
      });
      // The right may have been lost while it was put together.
      return instance !== null && watch.mayStillSend(event)
        ? broadcastFrame(address, model.name, action, instance, cursor)
        : null;
    } catch (error) {
      this.#door.report(error, context.requestId);
      return errorFrame(address, ERROR_CATALOGUE.INTERNAL.status, ERROR_CATALOGUE.INTERNAL.sentence);
    }
  }

  /** Tells the client of a failure, and the log of one that nobody expected. */
  async #tell(address: { style: Address['style']; id: Address['id'] | null }, error: unknown): Promise<void> {
    if (this.#closed || this.#socket.readyState !== this.#socket.OPEN) {
      return;
    }
    const expected = error instanceof AppError ? error : new AppError('INTERNAL');
    if (expected !== error) {
      this.#door.report(error, null);
    }
    await sendText(this.#socket, errorFrame(address, expected.status, expected.message)).catch(() => undefined);
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

/**
 * What the instance of an event is remembered by: what belongs to the row is read at the moment of sending, so it holds for this position of
 * the log, and where it depends on rights, for viewers of the same.
 */
function nameOf(model: AnyLiveModel, { cursor, id }: StreamEvent, { feed, viewer }: Context): string {
  const rights = model.personal && viewer.kind === 'user' ? `${viewer.id} ${viewer.isStaff}` : '';
  return [model.name, id, cursor, feed.cursor, rights].join(' ');
}
