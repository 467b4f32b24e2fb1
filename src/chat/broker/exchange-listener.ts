import { setTimeout as sleep } from 'node:timers/promises';
import { AMQPConnectionError, AMQPError, type Channel, type Connection, type SyncMessage } from 'rabbitmq-client';
import type { SocketRooms } from '../socket-rooms.ts';
import { frameOf, isOwnMessage } from './exchange-messages.ts';
import { ExchangeReports } from './exchange-reports.ts';
import { acquireChannel, declareExchange } from './exchanges.ts';
import { declareExternalQueue, type ExternalQueue } from './external-queue.ts';
import { RejectedMessageError } from './message-body.ts';
import { isExchangeName } from './outgoing-messages.ts';

/** How often a queue that was empty is read again, in milliseconds. */
const POLL_INTERVAL_MS = 100;
/** How many messages are read before the bindings are brought up to date again. */
const MAX_BATCH = 200;
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** How many messages of other programs are sent to the sockets of a chat within a second, at most. */
const MAX_PER_SECOND = 50;
/** How long the exchange of a chat stays unbound after it exceeded the limit, or could not be bound, in milliseconds. */
const PAUSE_MS = 10_000;

/** The state of one channel. */
interface ChannelState {
  readonly channel: Channel;
  readonly queue: ExternalQueue;
  /** The uris whose exchanges are bound to the queue. */
  readonly bound: Set<string>;
}

/**
 * Sends the messages that other programs publish to the exchanges of chats to the open chat sockets of this process; they are not stored. The exchange of a
 * chat is bound while the process has sockets of the chat.
 *
 * The queue is read by `basic.get`: a consumer would receive bodies of any size, since the limits of a queue apply only to messages that wait in it.
 */
export class ExchangeListener {
  readonly #connection: Connection;
  readonly #rooms: SocketRooms;
  readonly #onFailure: (error: unknown) => void;
  readonly #reports: ExchangeReports;
  readonly #stopping = new AbortController();
  /** The uris whose binding has to be added or removed. */
  readonly #pending = new Set<string>();
  /** The chats whose exchanges are not bound at present, with the end of that pause on the monotonic clock. */
  readonly #paused = new Map<string, number>();
  /** The messages of other programs in the present second by uri. */
  readonly #rates = new Map<string, number>();
  #secondEndsAt = 0;
  #wake: () => void = () => undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(connection: Connection, rooms: SocketRooms, onFailure: (error: unknown) => void) {
    this.#connection = connection;
    this.#rooms = rooms;
    this.#onFailure = onFailure;
    this.#reports = new ExchangeReports(onFailure);
  }

  /** The messages of other programs by what became of them. */
  get counts(): Readonly<Record<string, number>> {
    return this.#reports.counts;
  }

  start(): void {
    this.#rooms.observe((uri) => {
      this.#pending.add(uri);
      this.#wake();
    });
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#rooms.observe(() => undefined);
    this.#stopping.abort();
    this.#wake();
    await this.#running;
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #run(): Promise<void> {
    let pauseMs = RETRY_MIN_MS;
    while (!this.#isStopping) {
      if (this.#rooms.size === 0) {
        this.#pending.clear();
        await this.#idle(null);
        continue;
      }
      const startedAt = performance.now();
      try {
        await this.#listen();
        pauseMs = RETRY_MIN_MS;
      } catch (error) {
        // While sockets are open, `#listen` ends only by a failure: a failure after a long time begins with the shortest pause again.
        if (performance.now() - startedAt > RETRY_MAX_MS) {
          pauseMs = RETRY_MIN_MS;
        }
        // The connection reports its own failures, and is reconnected soon.
        const isReported = error instanceof AMQPConnectionError;
        if (!this.#isStopping && !isReported) {
          this.#onFailure(error);
        }
        await sleep(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
        pauseMs = isReported ? RETRY_MIN_MS : Math.min(2 * pauseMs, RETRY_MAX_MS);
      }
    }
  }

  /** Reads a new queue until no chat has open sockets. Waits while the broker is unavailable. */
  async #listen(): Promise<void> {
    const channel = await acquireChannel(this.#connection, this.#stopping.signal);
    try {
      const queue = await declareExternalQueue(channel);
      const state: ChannelState = { channel, queue, bound: new Set() };
      for (const uri of this.#rooms.uris()) {
        this.#pending.add(uri);
      }
      while (!this.#isStopping && this.#rooms.size > 0) {
        await this.#updateBindings(state);
        const isEmpty = await this.#readBatch(state);
        if (isEmpty && this.#pending.size === 0) {
          await this.#idle(POLL_INTERVAL_MS);
        }
      }
      await channel.queueDelete({ queue: queue.name });
    } finally {
      await channel.close().catch(() => undefined);
    }
  }

  async #updateBindings(state: ChannelState): Promise<void> {
    this.#endPauses();
    let count = 0;
    for (const uri of this.#pending) {
      count += 1;
      // After a reconnection many chats are bound, while messages of the first ones already wait.
      if (this.#isStopping || count > MAX_BATCH) {
        return;
      }
      this.#pending.delete(uri);
      const isWanted = this.#rooms.find(uri) !== undefined && !this.#paused.has(uri) && isExchangeName(uri);
      if (isWanted && !state.bound.has(uri)) {
        await this.#bind(state, uri);
      } else if (!isWanted && state.bound.delete(uri)) {
        await state.queue.unbind(uri);
      }
    }
  }

  /** Binds the exchange of a chat. A failure that concerns only this exchange, such as a missing permission, is reported, and it is tried again later. */
  async #bind({ channel, queue, bound }: ChannelState, uri: string): Promise<void> {
    try {
      await declareExchange(this.#connection, uri, this.#stopping.signal);
      await queue.bind(uri);
      bound.add(uri);
    } catch (error) {
      if (error instanceof AMQPError && !(error instanceof AMQPConnectionError)) {
        this.#paused.set(uri, performance.now() + PAUSE_MS);
        this.#onFailure(error);
      }
      if (!channel.active || !(error instanceof AMQPError)) {
        throw error;
      }
    }
  }

  #endPauses(): void {
    const now = performance.now();
    for (const [uri, end] of this.#paused) {
      if (end <= now) {
        this.#paused.delete(uri);
        this.#pending.add(uri);
      }
    }
  }

  /** Reads waiting messages. Returns whether none is left. */
  async #readBatch({ channel, queue }: ChannelState): Promise<boolean> {
    for (let count = 0; count < MAX_BATCH && !this.#isStopping; count += 1) {
      const message = await channel.basicGet({ queue: queue.name, noAck: true });
      if (!message) {
        return true;
      }
      this.#handle(message);
    }
    return false;
  }

  #handle({ exchange: uri, headers, body }: SyncMessage): void {
    const room = this.#rooms.find(uri);
    if (!room || isOwnMessage(headers)) {
      return;
    }
    if (this.#paused.has(uri)) {
      this.#reports.count('limited');
      return;
    }
    if (!this.#isWithinRate(uri)) {
      this.#reports.add('limited', room.chatId, `More than ${MAX_PER_SECOND} messages arrived within a second.`);
      this.#paused.set(uri, performance.now() + PAUSE_MS);
      this.#pending.add(uri);
      return;
    }
    try {
      const frame = frameOf(body);
      for (const { send } of room.listeners) {
        send(frame);
      }
      this.#reports.count('sent');
    } catch (error) {
      if (!(error instanceof RejectedMessageError)) {
        throw error;
      }
      this.#reports.add('rejected', room.chatId, error.message);
    }
  }

  #isWithinRate(uri: string): boolean {
    const now = performance.now();
    if (now >= this.#secondEndsAt) {
      this.#rates.clear();
      this.#secondEndsAt = now + 1_000;
    }
    const rate = (this.#rates.get(uri) ?? 0) + 1;
    this.#rates.set(uri, rate);
    return rate <= MAX_PER_SECOND;
  }

  /** Waits until a binding has to change, for at most this time; null for no limit. */
  async #idle(ms: number | null): Promise<void> {
    if (this.#isStopping || (ms === null && this.#rooms.size > 0)) {
      return;
    }
    await new Promise<void>((resolve) => {
      const timer = ms === null ? undefined : setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
