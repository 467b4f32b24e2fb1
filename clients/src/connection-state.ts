import type { Credentials } from './authorized-fetch.ts';
import type { SignedOutError } from './errors.ts';

/**
 * - `idle`: no subscription is open
 * - `connecting`: the socket is being opened
 * - `catching-up`: the socket is open, and missed events or a snapshot are being received
 * - `live`: events are received as they happen
 * - `offline`: the connection was lost; the next attempt is at `retryAt`
 * - `signed-out`: the credential is refused and cannot be refreshed; subscriptions ended with a `SignedOutError`
 * - `failed`: the server refuses the subscriptions; they ended with a `ConnectionError`
 */
export type ConnectionStatus = 'idle' | 'connecting' | 'catching-up' | 'live' | 'offline' | 'signed-out' | 'failed';

export interface ConnectionState {
  readonly status: ConnectionStatus;
  /** Why the connection was lost or refused; null otherwise. */
  readonly reason: string | null;
  /** When the next attempt is made, in milliseconds since 1970, while `offline`; null otherwise. */
  readonly retryAt: number | null;
}

export interface ConnectionOptions extends Credentials {
  /** The URL of the GraphQL endpoint, `http:` or `https:`, or a path of the page's host like `/graphql`. */
  readonly url: string;
  /** The class of WebSockets; by default that of the platform, which Node 20 lacks: pass `WebSocket` of the package ws. */
  readonly webSocketImpl?: unknown;
  /** Returns the delay in milliseconds before the next attempt; by default 0.25 to 30 seconds, growing with the failures and random. */
  readonly retryDelay?: ((failures: number) => number) | undefined;
  /** Called when the credential is refused and cannot be refreshed. */
  readonly onSignedOut?: ((error: SignedOutError) => void) | undefined;
}
