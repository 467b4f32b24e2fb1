import type { IncomingMessage } from 'node:http';
import type { EventStream, StreamEnd } from '../changes/delivery.ts';
import type { Config } from '../config/config.ts';
import { AppError } from '../errors.ts';
import type { AddressOf } from '../host/caller-address.ts';
import { countedAddress } from '../identity/addresses.ts';
import { Telemetry } from '../telemetry.ts';
import { ConnectionLimiter } from './connection-limiter.ts';

/** The `Retry-After` of a refused connection, in seconds. */
export const RETRY_AFTER_S = 5;

/** Limits the sockets, event streams and subscriptions of each IP address and of the process, whatever their users. */
export class PeerLimits {
  readonly #addressOf: AddressOf;
  readonly #telemetry: Telemetry;
  readonly #connections: ConnectionLimiter<string>;
  readonly #subscriptions: ConnectionLimiter<string>;

  constructor(sockets: Config['sockets'], addressOf: AddressOf, telemetry = new Telemetry()) {
    const { maxPerAddress, maxInAll, maxSubscriptionsPerAddress, maxSubscriptionsInAll } = sockets;
    this.#addressOf = addressOf;
    this.#telemetry = telemetry;
    this.#connections = new ConnectionLimiter({ perKey: maxPerAddress, total: maxInAll });
    this.#subscriptions = new ConnectionLimiter({ perKey: maxSubscriptionsPerAddress, total: maxSubscriptionsInAll });
  }

  /** Counts the socket or event stream of a request. Returns the function that releases it, or null when too many are open. */
  acquireConnection(request: IncomingMessage): (() => void) | null {
    const address = this.#addressOf(request);
    const release = this.#connections.acquire(countedAddress(address));
    if (!release) {
      const detail = 'Too many sockets and event streams are open.';
      this.#telemetry.report({ kind: 'refused', reason: 'connection_limit', detail, address });
    }
    return release;
  }

  /**
   * Counts a subscription of an address, in the form of {@link countedAddress}, opens it, and releases it when its stream ends.
   * `streamOf` returns the stream of an opened subscription, or null when it has none. `onEnded` is called when the stream ends.
   *
   * @throws {AppError} `OVERLOADED` when the process has too many subscriptions, `RATE_LIMITED` when the address has
   */
  async acquireSubscription<Opened>(
    address: string,
    open: () => Promise<Opened>,
    streamOf: (opened: Opened) => EventStream | null,
    onEnded: (end: StreamEnd) => void = () => undefined,
  ): Promise<Opened> {
    const release = this.#subscriptions.acquire(address);
    if (!release) {
      const detail = 'Too many subscriptions are open.';
      this.#telemetry.report({ kind: 'refused', reason: 'subscription_limit', detail, address });
      throw this.#subscriptions.isFull
        ? new AppError('OVERLOADED', 'The server has as many subscriptions as it can serve. Try again later.')
        : new AppError(
            'RATE_LIMITED',
            'Too many subscriptions from this address. End some of them, or try again later.',
          );
    }
    try {
      const opened = await open();
      const stream = streamOf(opened);
      if (stream) {
        stream.onceEnded((end) => {
          release();
          onEnded(end);
        });
      } else {
        release();
      }
      return opened;
    } catch (error) {
      release();
      throw error;
    }
  }
}
