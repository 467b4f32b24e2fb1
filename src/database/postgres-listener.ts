import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { connectionOf } from './postgres-connection.ts';

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;
/** Interval of the liveness query; a half-open connection would otherwise go unnoticed. */
const LIVENESS_INTERVAL_MS = 30_000;
const CLOSE_TIMEOUT_MS = 1_000;

type Callback = (payload: string) => void;

/** Listens to notifications of PostgreSQL over a dedicated connection, and reconnects when it breaks. */
export class PostgresListener {
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #callbacks = new Map<string, Set<Callback>>();
  readonly #closing = new AbortController();
  #client: pg.Client | null = null;
  /** The last query of the client. The client runs one query at a time, so the next one waits for it. */
  #lastQuery: Promise<unknown> = Promise.resolve();
  #running: Promise<void> | null = null;

  /** `timeoutMs` is the time-out of a connection attempt and of a query. */
  constructor(url: string, timeoutMs: number) {
    this.#url = url;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Calls back at each notification, and after each reconnection with an empty payload, since notifications may have been missed. Resolves when the server
   * has confirmed the `LISTEN`, or immediately while there is no connection; returns the function that removes the callback.
   */
  async listen(channel: string, callback: Callback): Promise<() => void> {
    const callbacks = this.#callbacks.get(channel) ?? new Set();
    this.#callbacks.set(channel, callbacks);
    callbacks.add(callback);
    this.#running ??= this.#run();
    await this.#execute(`LISTEN ${channel}`);
    return () => {
      callbacks.delete(callback);
      if (callbacks.size === 0 && this.#callbacks.get(channel) === callbacks) {
        this.#callbacks.delete(channel);
        this.#execute(`UNLISTEN ${channel}`);
      }
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  /** Runs a statement if there is a connection. Errors are ignored: a new connection listens on all channels again. */
  async #execute(statement: string): Promise<void> {
    await (this.#client && this.#query(this.#client, statement).catch(() => undefined));
  }

  #query(client: pg.Client, statement: string): Promise<unknown> {
    const query = this.#lastQuery.then(() => client.query(statement));
    this.#lastQuery = query.catch(() => undefined);
    return query;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    let delay = FIRST_RETRY_MS;
    while (!signal.aborted) {
      try {
        await this.#runConnection(() => {
          delay = FIRST_RETRY_MS;
        });
      } catch {
        // The callers also poll, so a missing connection only delays them until the next attempt.
      }
      await pause(delay, undefined, { signal, ref: false }).catch(() => undefined);
      delay = Math.min(2 * delay, MAX_RETRY_MS);
    }
  }

  /** Opens a connection and listens until it breaks or the listener is closed; rejects in either case. */
  async #runConnection(onConnected: () => void): Promise<void> {
    const { signal } = this.#closing;
    const client = new pg.Client({
      ...connectionOf(this.#url),
      connectionTimeoutMillis: this.#timeoutMs,
      query_timeout: this.#timeoutMs,
    });
    client.on('notification', ({ channel, payload = '' }) => this.#notify(channel, payload));
    const broken = new Promise<never>((_resolve, reject) => {
      const fail = (): void => reject(new Error('The connection has ended.'));
      client.on('error', fail).on('end', fail);
      signal.addEventListener('abort', fail, { once: true });
    });
    try {
      await Promise.race([broken, this.#listenOnAll(client, onConnected)]);
    } finally {
      this.#client = null;
      // A broken connection does not confirm its end, so there is a time-out.
      await Promise.race([client.end().catch(() => undefined), pause(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
    }
  }

  async #listenOnAll(client: pg.Client, onConnected: () => void): Promise<never> {
    await client.connect();
    this.#lastQuery = Promise.resolve();
    this.#client = client;
    for (const channel of [...this.#callbacks.keys()]) {
      await this.#query(client, `LISTEN ${channel}`);
      this.#notify(channel, '');
    }
    onConnected();
    for (;;) {
      await pause(LIVENESS_INTERVAL_MS, undefined, { ref: false });
      await this.#query(client, 'SELECT 1');
    }
  }

  #notify(channel: string, payload: string): void {
    for (const callback of [...(this.#callbacks.get(channel) ?? [])]) {
      callback(payload);
    }
  }
}
