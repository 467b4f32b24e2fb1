import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { AMQPError, type Channel, type Connection } from 'rabbitmq-client';
import type { LeaseHandle } from '../../database/lease.ts';
import type { Telemetry } from '../../telemetry.ts';
import type { OutgoingMessage } from './outgoing-messages.ts';
import { unlessAborted } from './unless-aborted.ts';

/** How long a restarted broker is given until its consumers have declared their queues again. It does not remember them. In milliseconds. */
const LISTENER_GRACE_MS = 15_000;
const REPUBLISH_INTERVAL_MS = 500;

/** How much of a batch was published. */
export interface PublishResult {
  /** How many of the first messages the broker has confirmed. */
  readonly confirmed: number;
  /** Why the others were not confirmed; null when all were. */
  readonly failure: unknown;
}

/** The state of the broker as far as it is known over one channel; it is discarded together with the channel. */
interface ChannelState {
  readonly channel: Channel;
  /** When a missing listener counts as gone, in milliseconds of the monotonic clock. */
  readonly graceEndsAt: number;
  readonly declared: Set<string>;
  /** The exchanges that routed a message to a listener over this channel. */
  readonly routed: Set<string>;
  /** The ids of messages that the broker returned as unroutable: their exchange has no listener. */
  readonly unroutable: Set<string>;
}

/**
 * Publishes messages to their exchanges over one channel, in order and with confirms. After any failure it discards the channel, and the caller publishes again
 * from the first message that was not confirmed. The broker may therefore receive a message twice, or from two channels at once, but the first arrivals of
 * the messages are in order.
 */
export class ChatPublisher {
  readonly #connection: Connection;
  readonly #telemetry: Telemetry;
  #state: ChannelState | null = null;
  /** The exchanges that had a listener when they were last used. */
  readonly #withListeners = new Set<string>();
  /** The exchanges that another program declared with other options. They are used as they are. */
  readonly #externallyDeclared = new Set<string>();

  constructor(connection: Connection, telemetry: Telemetry) {
    this.#connection = connection;
    this.#telemetry = telemetry;
  }

  /** Publishes a batch; waits while the broker is unavailable. It stops when the lease is no longer valid. */
  async send(messages: readonly OutgoingMessage[], lease: LeaseHandle): Promise<PublishResult> {
    let confirmed = 0;
    try {
      const state = await this.#open(lease.signal);
      for (const exchange of new Set(messages.map((message) => message.exchange))) {
        await this.#declare(state, exchange);
      }
      while (confirmed < messages.length) {
        const rest = messages.slice(confirmed);
        const unknown = rest.findIndex(({ exchange }) => this.#isListenerUnknown(state, exchange));
        if (rest[0] && unknown === 0) {
          await this.#publishUntilRouted(state, rest[0], lease);
          confirmed += 1;
        } else {
          const result = await this.#publishAll(state, unknown < 0 ? rest : rest.slice(0, unknown), lease);
          confirmed += result.confirmed;
          if (result.failure !== null) {
            throw result.failure;
          }
        }
      }
      return { confirmed, failure: null };
    } catch (failure) {
      if (failure instanceof AMQPError && failure.code === 'NOT_FOUND') {
        this.#externallyDeclared.clear();
      }
      this.#discardChannel();
      return { confirmed, failure };
    }
  }

  /** Forgets what is known of an exchange that is about to be removed, or was removed. The next message declares it again. */
  forget(exchange: string): void {
    this.#withListeners.delete(exchange);
    this.#externallyDeclared.delete(exchange);
    this.#state?.declared.delete(exchange);
    this.#state?.routed.delete(exchange);
  }

  async close(): Promise<void> {
    await this.#state?.channel.close();
  }

  async #open(signal: AbortSignal): Promise<ChannelState> {
    if (this.#state?.channel.active) {
      return this.#state;
    }
    const opening = this.#connection.acquire().then(async (channel): Promise<ChannelState> => {
      const unroutable = new Set<string>();
      channel.on('basic.return', ({ messageId }) => unroutable.add(messageId ?? ''));
      await channel.confirmSelect();
      const graceEndsAt = performance.now() + LISTENER_GRACE_MS;
      return { channel, graceEndsAt, declared: new Set(), routed: new Set(), unroutable };
    });
    try {
      this.#state = await unlessAborted(opening, signal);
    } catch (error) {
      opening.then(({ channel }) => channel.close()).catch(() => undefined);
      throw error;
    }
    return this.#state;
  }

  async #declare({ channel, declared }: ChannelState, exchange: string): Promise<void> {
    if (declared.has(exchange) || this.#externallyDeclared.has(exchange)) {
      return;
    }
    try {
      await channel.exchangeDeclare({ exchange, type: 'fanout', durable: false });
      declared.add(exchange);
    } catch (error) {
      if (error instanceof AMQPError && error.code === 'PRECONDITION_FAILED') {
        this.#externallyDeclared.add(exchange);
      }
      throw error;
    }
  }

  /** Returns whether the exchange had a listener before the last channel was lost, and whether it has one again is unknown. */
  #isListenerUnknown({ routed, graceEndsAt }: ChannelState, exchange: string): boolean {
    return this.#withListeners.has(exchange) && !routed.has(exchange) && performance.now() < graceEndsAt;
  }

  /** Republishes a message until the broker routes it or the grace period ends, since later messages must not overtake it. */
  async #publishUntilRouted(state: ChannelState, message: OutgoingMessage, lease: LeaseHandle): Promise<void> {
    for (;;) {
      const isLast = !this.#isListenerUnknown(state, message.exchange);
      const { failure } = await this.#publishAll(state, [message], lease);
      if (failure !== null) {
        throw failure;
      }
      if (isLast || state.routed.has(message.exchange)) {
        return;
      }
      this.#withListeners.add(message.exchange);
      await sleep(REPUBLISH_INTERVAL_MS, undefined, { signal: lease.signal });
    }
  }

  /** Publishes messages without waiting between them, then waits for all confirms. */
  async #publishAll(
    state: ChannelState,
    messages: readonly OutgoingMessage[],
    lease: LeaseHandle,
  ): Promise<PublishResult> {
    const confirms: Promise<void>[] = [];
    for (const message of messages) {
      if (!lease.isValid()) {
        break;
      }
      confirms.push(this.#publish(state.channel, message));
    }
    const outcomes = await unlessAborted(Promise.allSettled(confirms), lease.signal);
    // The client reports returned messages one turn later than confirmed ones.
    await nextTurn();
    const failed = outcomes.findIndex(({ status }) => status === 'rejected');
    const confirmed = failed < 0 ? outcomes.length : failed;
    this.#recordRouting(state, messages.slice(0, confirmed));
    const outcome = outcomes[confirmed];
    if (outcome?.status === 'rejected') {
      return { confirmed, failure: outcome.reason };
    }
    return { confirmed, failure: confirmed < messages.length ? new Error('The lease ran out.') : null };
  }

  #publish(channel: Channel, message: OutgoingMessage): Promise<void> {
    const attributes = {
      'messaging.system': 'rabbitmq',
      'messaging.destination.name': message.exchange,
      'messaging.message.id': message.id,
    };
    return this.#telemetry.trace({ name: 'publish chat message', kind: 'producer', attributes }, () =>
      basicPublish(channel, message, this.#telemetry.traceHeaders()),
    );
  }

  #recordRouting({ routed, unroutable }: ChannelState, messages: readonly OutgoingMessage[]): void {
    for (const { id, exchange } of messages) {
      if (unroutable.delete(id)) {
        this.#withListeners.delete(exchange);
      } else {
        this.#withListeners.add(exchange);
        routed.add(exchange);
      }
    }
  }

  #discardChannel(): void {
    const state = this.#state;
    this.#state = null;
    state?.channel.close().catch(() => undefined);
  }
}

/** Sends a message. Resolves when the broker has confirmed it. */
function basicPublish(
  channel: Channel,
  { id, exchange, body, position }: OutgoingMessage,
  traceHeaders: Readonly<Record<string, string>>,
): Promise<void> {
  const timestamp = Math.floor(position.at / 1000);
  return channel.basicPublish(
    {
      exchange,
      routingKey: '',
      mandatory: true,
      durable: true,
      contentType: 'application/json',
      messageId: id,
      timestamp,
      headers: { message_id: id, timestamp, ...traceHeaders },
    },
    body,
  );
}
