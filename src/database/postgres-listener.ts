import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;
/** Interval of the liveness query; a half-open connection would otherwise go unnoticed. */
const LIVENESS_INTERVAL_MS = 30_000;
const CLOSE_TIMEOUT_MS = 1_000;

type Callback = (payload: string) => void;

/** Listens to notifications of PostgreSQL over a connection of its own, which it makes anew when it breaks. */
export class PostgresListener {
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #callbacks = new Map<string, Set<Callback>>();
  readonly #closing = new AbortController();
  #client: pg.Client | null = null;
  /** The last query of the client: one that has not ended may have no other one behind it. */
  #last: Promise<unknown> = Promise.resolve();
  #running: Promise<void> | null = null;

  /** `timeoutMs` is how long a connection attempt, and a query of the connection, may take. */
  constructor(url: string, timeoutMs: number) {
    this.#url = url;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Calls back at each notification, and after each reconnection with an empty payload, since something may have been missed. Resolves when the
   * server has been told, or there is no connection to it at present; with the function that ends it.
   */
  async listen(channel: string, callback: Callback): Promise<() => void> {
    const callbacks = this.#callbacks.get(channel) ?? new Set();
    this.#callbacks.set(channel, callbacks);
    callbacks.add(callback);
    this.#running ??= this.#run();
    await this.#tell(`LISTEN ${channel}`);
    return () => {
      callbacks.delete(callback);
      if (callbacks.size === 0 && this.#callbacks.get(channel) === callbacks) {
        this.#callbacks.delete(channel);
        this.#tell(`UNLISTEN ${channel}`);
      }
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  /** A connection that fails is made anew, and then listens to everything. */
  async #tell(statement: string): Promise<void> {
    await (this.#client && this.#query(this.#client, statement).catch(() => undefined));
  }

  #query(client: pg.Client, statement: string): Promise<unknown> {
    const query = this.#last.then(() => client.query(statement));
    this.#last = query.catch(() => undefined);
    return query;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    let delay = FIRST_RETRY_MS;
    while (!signal.aborted) {
      try {
        await this.#stayConnected(() => {
          delay = FIRST_RETRY_MS;
        });
      } catch {
        // Whoever depends on notifications polls as well; the next attempt follows.
      }
      await pause(delay, undefined, { signal, ref: false }).catch(() => undefined);
      delay = Math.min(2 * delay, MAX_RETRY_MS);
    }
  }

  /** Listens until the connection breaks or the listener is closed, which are both failures here. */
  async #stayConnected(onConnected: () => void): Promise<void> {
    const { signal } = this.#closing;
    const client = new pg.Client({
      connectionString: this.#url,
      connectionTimeoutMillis: this.#timeoutMs,
      query_timeout: this.#timeoutMs,
    });
    client.on('notification', ({ channel, payload = '' }) => this.#notify(channel, payload));
    const broken = new Promise<never>((_resolve, reject) => {
      const fail = (): void => reject(new Error('The connection is over.'));
      client.on('error', fail).on('end', fail);
      signal.addEventListener('abort', fail, { once: true });
    });
    try {
      await Promise.race([broken, this.#listenOver(client, onConnected)]);
    } finally {
      this.#client = null;
      // A dead connection does not confirm its end.
      await Promise.race([client.end().catch(() => undefined), pause(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
    }
  }

  async #listenOver(client: pg.Client, onConnected: () => void): Promise<never> {
    await client.connect();
    this.#last = Promise.resolve();
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
