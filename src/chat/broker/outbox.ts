import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { AMQPError, type Channel, type Connection } from 'rabbitmq-client';
import type { LeaseHandle } from '../../database/lease.ts';
import type { Outgoing } from './outgoing.ts';

/** How long listeners have to come back after a new start of the broker, which forgets who listened. */
const SETTLE_MS = 15_000;
const PROOF_INTERVAL_MS = 500;

/** How far a batch got: how many of its first messages the broker has taken over, and why not all of them. */
export interface Delivery {
  readonly confirmed: number;
  readonly failure: unknown;
}

/** One life of the channel: what the broker knows of it ends with it. */
interface Line {
  readonly channel: Channel;
  readonly settledAt: number;
  readonly declared: Set<string>;
  /** Exchanges that led somewhere on this channel. */
  readonly proven: Set<string>;
  /** The ids of messages that nobody listened to. */
  readonly unheard: Set<string>;
}

/**
 * Sends messages to their exchanges, in order and confirmed, over one channel. When anything fails the channel is given up as a whole, and the
 * caller sends again from the first message that was not confirmed: whatever the broker got twice or from two channels at once,
 * the first arrival of each message is in order.
 */
export class Outbox {
  readonly #connection: Connection;
  #line: Line | null = null;
  /** Exchanges that somebody listened to when they were last used. */
  readonly #heard = new Set<string>();
  /** Exchanges that somebody declared in another way than we do: they are used as they are. */
  readonly #foreign = new Set<string>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Sends a batch; waits for a broker that is away. Nothing is sent once the lease is no longer valid. */
  async send(messages: readonly Outgoing[], lease: LeaseHandle): Promise<Delivery> {
    let confirmed = 0;
    try {
      const line = await this.#open(lease.signal);
      for (const exchange of new Set(messages.map((message) => message.exchange))) {
        await this.#declare(line, exchange);
      }
      while (confirmed < messages.length) {
        const rest = messages.slice(confirmed);
        const doubtful = rest.findIndex((message) => this.#isDoubtful(line, message));
        if (rest[0] && doubtful === 0) {
          await this.#prove(line, rest[0], lease);
          confirmed += 1;
        } else {
          const delivery = await this.#post(line, doubtful < 0 ? rest : rest.slice(0, doubtful), lease);
          confirmed += delivery.confirmed;
          if (delivery.failure !== null) {
            throw delivery.failure;
          }
        }
      }
      return { confirmed, failure: null };
    } catch (failure) {
      if (failure instanceof AMQPError && failure.code === 'NOT_FOUND') {
        this.#foreign.clear();
      }
      this.#abandon();
      return { confirmed, failure };
    }
  }

  async close(): Promise<void> {
    await this.#line?.channel.close();
  }

  async #open(signal: AbortSignal): Promise<Line> {
    if (this.#line?.channel.active) {
      return this.#line;
    }
    const opening = this.#connection.acquire().then(async (channel): Promise<Line> => {
      const unheard = new Set<string>();
      channel.on('basic.return', ({ messageId }) => unheard.add(messageId ?? ''));
      await channel.confirmSelect();
      return { channel, settledAt: performance.now() + SETTLE_MS, declared: new Set(), proven: new Set(), unheard };
    });
    try {
      this.#line = await unlessAborted(opening, signal);
    } catch (error) {
      opening.then(({ channel }) => channel.close()).catch(() => undefined);
      throw error;
    }
    return this.#line;
  }

  async #declare({ channel, declared }: Line, exchange: string): Promise<void> {
    if (declared.has(exchange) || this.#foreign.has(exchange)) {
      return;
    }
    try {
      await channel.exchangeDeclare({ exchange, type: 'fanout', durable: false });
      declared.add(exchange);
    } catch (error) {
      if (error instanceof AMQPError && error.code === 'PRECONDITION_FAILED') {
        this.#foreign.add(exchange);
      }
      throw error;
    }
  }

  /** Whether somebody listened before the channel was lost, and it is not known yet whether they are back. */
  #isDoubtful({ proven, settledAt }: Line, { exchange }: Outgoing): boolean {
    return this.#heard.has(exchange) && !proven.has(exchange) && performance.now() < settledAt;
  }

  /** Sends a message until somebody hears it, or nobody is waited for any longer: what comes after it must not be heard before. */
  async #prove(line: Line, message: Outgoing, lease: LeaseHandle): Promise<void> {
    for (;;) {
      const isLast = !this.#isDoubtful(line, message);
      const { failure } = await this.#post(line, [message], lease);
      if (failure !== null) {
        throw failure;
      }
      if (isLast || line.proven.has(message.exchange)) {
        return;
      }
      this.#heard.add(message.exchange);
      await sleep(PROOF_INTERVAL_MS, undefined, { signal: lease.signal });
    }
  }

  /** Sends messages without waiting between them, then waits for all confirms. */
  async #post(line: Line, messages: readonly Outgoing[], lease: LeaseHandle): Promise<Delivery> {
    const confirms: Promise<void>[] = [];
    for (const { id, exchange, body, position } of messages) {
      if (!lease.isValid()) {
        break;
      }
      const timestamp = Math.floor(position.at / 1000);
      confirms.push(
        line.channel.basicPublish(
          {
            exchange,
            routingKey: '',
            mandatory: true,
            durable: true,
            contentType: 'application/json',
            messageId: id,
            timestamp,
            headers: { message_id: id, timestamp },
          },
          body,
        ),
      );
    }
    const outcomes = await unlessAborted(Promise.allSettled(confirms), lease.signal);
    // The client tells of what came back a turn later than of what was confirmed.
    await nextTurn();
    const failed = outcomes.findIndex(({ status }) => status === 'rejected');
    const confirmed = failed < 0 ? outcomes.length : failed;
    this.#note(line, messages.slice(0, confirmed));
    const outcome = outcomes[confirmed];
    if (outcome?.status === 'rejected') {
      return { confirmed, failure: outcome.reason };
    }
    return { confirmed, failure: confirmed < messages.length ? new Error('The lease ran out.') : null };
  }

  #note({ proven, unheard }: Line, messages: readonly Outgoing[]): void {
    for (const { id, exchange } of messages) {
      if (unheard.delete(id)) {
        this.#heard.delete(exchange);
      } else {
        this.#heard.add(exchange);
        proven.add(exchange);
      }
    }
  }

  #abandon(): void {
    const line = this.#line;
    this.#line = null;
    line?.channel.close().catch(() => undefined);
  }
}

/** The value, or a failure as soon as the signal is aborted. */
async function unlessAborted<Value>(value: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let onAbort = (): void => undefined;
  const abortion = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort);
  });
  try {
    signal.throwIfAborted();
    return await Promise.race([value, abortion]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
