import type { Client } from 'graphql-ws';
import { expiryOf } from './jwt.ts';
import { RENEW_CONNECTION } from './operations.ts';

/** The time before the expiry at which a credential is renewed: this share of its remaining life, and at most this long in milliseconds. */
const MARGIN_SHARE = 1 / 3;
const MAX_MARGIN_MS = 60_000;
const RETRY_MS = 5_000;
/** The shortest time between two renewals, in milliseconds. */
const MIN_DELAY_MS = 1_000;
/** The longest delay of a timer, in milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface RenewalOptions {
  /** Returns another token than the present one; null when the user has to sign in again. It throws when that is not known. */
  readonly nextToken: (token: string) => Promise<string | null>;
  readonly client: () => Client;
  readonly onRenewed: (token: string) => void;
  readonly onRefused: (reason: string) => void;
}

/** Replaces the credential of an open socket before it expires, so that its subscriptions continue. */
export class Renewal {
  readonly #options: RenewalOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The number of the last schedule: a renewal of an earlier one has no effect. */
  #run = 0;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /** Renews the credential of the socket that was opened with this token, again and again. */
  schedule(token: string): void {
    this.stop();
    const expiresAt = expiryOf(token);
    if (expiresAt !== null) {
      const remainingMs = expiresAt - Date.now();
      this.#renewIn(remainingMs - Math.min(MAX_MARGIN_MS, remainingMs * MARGIN_SHARE), token);
    }
  }

  stop(): void {
    this.#run += 1;
    clearTimeout(this.#timer);
  }

  #renewIn(delayMs: number, token: string): void {
    const run = this.#run;
    this.#timer = setTimeout(() => this.#renew(run, token), Math.min(Math.max(delayMs, MIN_DELAY_MS), MAX_TIMER_MS));
  }

  async #renew(run: number, token: string): Promise<void> {
    const { nextToken, client, onRenewed, onRefused } = this.#options;
    try {
      const next = await nextToken(token);
      if (run !== this.#run) {
        return;
      }
      if (next === null) {
        onRefused('The session has ended.');
        return;
      }
      if (next === token) {
        // The application has no other one yet: the server closes the socket when this one has expired.
        return;
      }
      if ((await renewConnection(client(), next)) && run === this.#run) {
        onRenewed(next);
        this.schedule(next);
      }
    } catch {
      // Offline, or the server cannot refresh tokens at this moment.
      if (run === this.#run) {
        this.#renewIn(RETRY_MS, token);
      }
    }
  }
}

/** Returns false when the server does not accept the token for this socket: it closes the socket when the present one expires. */
function renewConnection(client: Client, token: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let isRenewed = false;
    client.subscribe<{ renewConnection: { __typename: string } }>(
      { query: RENEW_CONNECTION, variables: { token } },
      {
        next: ({ data }) => {
          isRenewed = data?.renewConnection.__typename === 'ConnectionRenewal';
        },
        error: reject,
        complete: () => resolve(isRenewed),
      },
    );
  });
}
