import { type Client, createClient } from 'graphql-ws';
import { retryDelay, wait } from './backoff.ts';
import { CatchUp } from './catch-up.ts';
import { afterClose, closeOf } from './close-codes.ts';
import type { ConnectionOptions, ConnectionState, ConnectionStatus } from './connection-state.ts';
import { ConnectionError, SignedOutError } from './errors.ts';
import { Renewal } from './renewal.ts';
import { createStore, type Store } from './store.ts';

/** How often the client pings, and how long it waits for the answer before it connects again, in milliseconds. */
const PING_INTERVAL_MS = 15_000;
const PONG_TIMEOUT_MS = 10_000;
/** How long the socket stays open without an operation, so that it survives a change of the page, in milliseconds. */
const IDLE_CLOSE_MS = 3_000;
/** A connection that lasted as long was no failure, in milliseconds. */
const STABLE_MS = 5_000;
/** The socket that all operations share: it is opened again after each loss, with the present credential. */
export class Connection {
  readonly state: Store<ConnectionState>;
  readonly #set: (status: ConnectionStatus, reason?: string | null, retryAt?: number | null) => void;
  readonly #options: ConnectionOptions;
  readonly #renewal: Renewal;
  readonly #catchUp: CatchUp;
  /** The functions that end the open operations with an error. */
  readonly #operations = new Set<(error: Error) => void>();
  #client: Client | null = null;
  #preparing: Promise<void> | null = null;
  /** Whether a socket is open, or being opened. */
  #isOpen = false;
  #token: string | null = null;
  /** The last token that was refused. */
  #refused: string | null = null;
  /** Whether the next connection needs another credential than the last one. */
  #needsToken = false;
  #failures = 0;
  #reason: string | null = null;
  #connectedAt = 0;
  #backOff = new AbortController();
  #pong: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ConnectionOptions) {
    const store = createStore<ConnectionState>({ status: 'idle', reason: null, retryAt: null });
    this.state = store;
    this.#options = options;
    this.#set = (status, reason = null, retryAt = null) => store.set({ status, reason, retryAt });
    this.#catchUp = new CatchUp((status) => this.#set(status));
    this.#renewal = new Renewal({
      nextToken: async (token) => (await (options.refresh ?? options.getToken ?? (() => null))(token)) ?? null,
      client: () => this.#socketClient(),
      onRenewed: (token) => {
        this.#token = token;
      },
      onRefused: (reason) => this.signOut(reason),
    });
  }

  /** The token of the last connection; null for a cookie. */
  get token(): string | null {
    return this.#token;
  }

  /** Registers an operation, which `end` ends with an error. Returns the function that removes it. */
  register(end: (error: Error) => void): () => void {
    this.#operations.add(end);
    return () => {
      this.#operations.delete(end);
      if (this.#operations.size === 0 && !this.#isOpen && this.state.getState().status === 'offline') {
        this.#backOff.abort();
        this.#set('idle');
      }
    };
  }

  /**
   * Waits until a socket may be opened, and returns the client that opens it.
   *
   * @throws {SignedOutError} when the credential is refused and cannot be refreshed
   */
  async prepare(): Promise<Client> {
    if (!this.#isOpen) {
      this.#preparing ??= this.#makeReady().finally(() => {
        this.#preparing = null;
      });
      await this.#preparing;
      if (!this.#isOpen && this.#operations.size > 0) {
        // The operation was added after all others had ended, and the attempt with them.
        return this.prepare();
      }
    }
    return this.#socketClient();
  }

  /** Counts a received event. */
  received(): void {
    this.#catchUp.received();
  }

  /** Reports `catching-up` until the returned function is called. */
  hold(): () => void {
    return this.#catchUp.hold(this.state.getState().status === 'live');
  }

  /** Ends all operations: the user is no longer signed in. */
  signOut(reason: string): void {
    if (this.state.getState().status === 'signed-out' && this.#operations.size === 0) {
      return;
    }
    this.#options.onSignedOut?.(this.endOperations(reason));
  }

  /** Ends all operations of a user who has signed out, which is not reported: the session does so. Returns the error that ends them. */
  endOperations(reason: string): SignedOutError {
    const error = new SignedOutError(reason);
    this.#end(error, 'signed-out', reason);
    return error;
  }

  /** Opens a new socket with the present credential, over which all subscriptions are resumed. */
  reconnect(): void {
    if (this.#isOpen) {
      this.#isOpen = false;
      this.#stopTimers();
      this.#client?.terminate();
    } else if (this.state.getState().status === 'signed-out') {
      this.#set('idle');
    }
    this.#backOff.abort();
  }

  /** Opens a new socket with another token after the server refused the present one for an operation. Returns false without a token. */
  refuseToken(): boolean {
    if (this.#token === null) {
      return false;
    }
    if (this.#isOpen && !this.#needsToken) {
      this.#lost({ code: 4403, reason: 'The server no longer accepts the credential.' });
      this.#client?.terminate();
    }
    return true;
  }

  /** Ends all operations and closes the socket. */
  close(): void {
    this.#end(new Error('The transport was closed.'), 'idle', null);
  }

  #end(error: Error, status: ConnectionStatus, reason: string | null): void {
    this.#isOpen = false;
    this.#needsToken = false;
    this.#failures = 0;
    this.#backOff.abort();
    this.#stopTimers();
    this.#set(status, reason);
    for (const end of [...this.#operations]) {
      end(error);
    }
    this.#operations.clear();
    // Rather than `terminate`, which makes a socket of the package ws that is still connecting throw.
    this.#client?.dispose()?.then(undefined, () => undefined);
    this.#client = null;
  }

  async #makeReady(): Promise<void> {
    for (;;) {
      if (this.#failures > 0) {
        const delayMs = (this.#options.retryDelay ?? retryDelay)(this.#failures);
        this.#set('offline', this.#reason, Date.now() + delayMs);
        this.#backOff = new AbortController();
        await wait(delayMs, this.#backOff.signal);
      }
      if (this.#operations.size === 0) {
        return;
      }
      this.#set('connecting', this.#reason);
      try {
        await this.#loadToken();
        this.#isOpen = true;
        return;
      } catch (error) {
        if (error instanceof SignedOutError) {
          throw error;
        }
        this.#failures += 1;
        this.#reason = error instanceof Error ? error.message : String(error);
      }
    }
  }

  async #loadToken(): Promise<void> {
    const { getToken, refresh } = this.#options;
    let token = (await getToken?.()) ?? null;
    if (token !== null && token === this.#refused) {
      token = (await refresh?.(token)) ?? null;
    }
    if (this.#needsToken && (token === null || token === this.#refused)) {
      const reason = this.#reason ?? 'The server no longer accepts the credential.';
      this.signOut(reason);
      throw new SignedOutError(reason);
    }
    this.#token = token;
  }

  #socketClient(): Client {
    if (this.#client) {
      return this.#client;
    }
    const isPresent = (): boolean => this.#client === client;
    const client = createClient({
      url: async () => {
        // After a close with 1000, graphql-ws connects again by itself.
        await (isPresent() && this.prepare().catch(() => undefined));
        return socketUrl(this.#options.url);
      },
      webSocketImpl: this.#options.webSocketImpl,
      connectionParams: () => (this.#token === null ? {} : { authorization: `Bearer ${this.#token}` }),
      retryAttempts: 0,
      lazyCloseTimeout: IDLE_CLOSE_MS,
      keepAlive: PING_INTERVAL_MS,
      on: {
        connected: () => isPresent() && this.#connected(),
        error: (error) => isPresent() && this.#lost(error),
        closed: (event) => isPresent() && this.#lost(event),
        ping: (isReceived) => {
          if (!isReceived && isPresent()) {
            this.#pong = setTimeout(() => client.terminate(), PONG_TIMEOUT_MS);
          }
        },
        pong: (isReceived) => {
          if (isReceived) {
            clearTimeout(this.#pong);
          }
        },
      },
    });
    this.#client = client;
    return client;
  }

  #connected(): void {
    this.#isOpen = true;
    this.#needsToken = false;
    this.#connectedAt = Date.now();
    this.#reason = null;
    if (this.#token !== null) {
      this.#renewal.schedule(this.#token);
    }
    this.#catchUp.start();
  }

  /** Handles the end of a socket, which graphql-ws reports as an error, as a close event, or as both. */
  #lost(event: unknown): void {
    if (!this.#isOpen) {
      return;
    }
    this.#isOpen = false;
    this.#stopTimers();
    const { code, reason } = closeOf(event);
    if (this.#operations.size === 0) {
      this.#set('idle');
      return;
    }
    this.#reason = reason;
    const next = afterClose(code);
    if (next === 'fail') {
      const error = new ConnectionError(code, reason);
      this.#end(error, 'failed', error.message);
    } else if (next === 'refresh') {
      this.#refuse(reason);
    } else {
      const wasStable = this.#connectedAt > 0 && Date.now() - this.#connectedAt >= STABLE_MS;
      this.#failures = wasStable ? 1 : this.#failures + 1;
    }
    this.#connectedAt = 0;
  }

  #refuse(reason: string): void {
    if (this.#needsToken || this.#token === null) {
      // The refreshed token was refused, too; or it was a cookie, which only a new sign-in replaces.
      this.signOut(reason);
      return;
    }
    this.#refused = this.#token;
    this.#needsToken = true;
    const wasShort = Date.now() - this.#connectedAt < STABLE_MS;
    this.#failures = wasShort && this.#connectedAt > 0 ? this.#failures + 1 : 0;
  }

  #stopTimers(): void {
    clearTimeout(this.#pong);
    this.#catchUp.stop();
    this.#renewal.stop();
  }
}

function socketUrl(url: string): string {
  const base = (globalThis as { location?: { href: string } }).location?.href;
  return new URL(url, base).href.replace(/^http/, 'ws');
}
