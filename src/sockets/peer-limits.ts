import type { IncomingMessage } from 'node:http';
import { countedAddress } from '../accounts/addresses.ts';
import type { EventStream } from '../changes/delivery.ts';
import type { Config } from '../config.ts';
import { AppError } from '../errors.ts';
import type { AddressOf } from '../host/caller-address.ts';
import { ConnectionLimiter } from './connection-limiter.ts';

/** When a client that was refused since too many connections are open may try again, in seconds. */
export const RETRY_AFTER_S = 5;

/** Limits the sockets, event streams and subscriptions of each address and of the process, whoever they belong to. */
export class PeerLimits {
  readonly #addressOf: AddressOf;
  readonly #connections: ConnectionLimiter<string>;
  readonly #subscriptions: ConnectionLimiter<string>;

  constructor(sockets: Config['sockets'], addressOf: AddressOf) {
    const { maxPerAddress, maxInAll, maxSubscriptionsPerAddress, maxSubscriptionsInAll } = sockets;
    this.#addressOf = addressOf;
    this.#connections = new ConnectionLimiter({ perKey: maxPerAddress, inAll: maxInAll });
    this.#subscriptions = new ConnectionLimiter({ perKey: maxSubscriptionsPerAddress, inAll: maxSubscriptionsInAll });
  }

  /** Counts the socket or event stream that a request asks for; returns the function that releases it, or null when there are too many. */
  connect(request: IncomingMessage): (() => void) | null {
    return this.#connections.acquire(countedAddress(this.#addressOf(request)));
  }

  /**
   * Opens a subscription of a caller at an address, as {@link countedAddress} writes it, and counts it from before that until its stream has ended.
   * `streamOf` gives the stream of what was opened, or null when there is none.
   *
   * @throws {AppError} `OVERLOADED` when the process has as many as it may have, `RATE_LIMITED` when the address does
   */
  async subscribe<Opened>(
    address: string,
    open: () => Promise<Opened>,
    streamOf: (opened: Opened) => EventStream | null,
  ): Promise<Opened> {
    const release = this.#subscriptions.acquire(address);
    if (!release) {
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
        stream.onceEnded(release);
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
