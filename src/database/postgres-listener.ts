import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;
/** How often the connection is tried: one that is dead without having said so would be listened to for ever. */
const TRIAL_INTERVAL_MS = 30_000;
const GOODBYE_MS = 1_000;

/** Listens to notifications of PostgreSQL over a connection of its own, which it makes anew when it breaks. */
export class PostgresListener {
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #callbacks = new Map<string, (payload: string) => void>();
  readonly #closing = new AbortController();
  #client: pg.Client | null = null;
  #running: Promise<void> | null = null;

  /** `timeoutMs` is how long a connection attempt may take, and a sign of life of the connection. */
  constructor(url: string, timeoutMs: number) {
    this.#url = url;
    this.#timeoutMs = timeoutMs;
  }

  /** Calls back at each notification, and after each reconnection with an empty payload: something may have been missed. */
  listen(channel: string, callback: (payload: string) => void): void {
    this.#callbacks.set(channel, callback);
    this.#running ??= this.#run();
    this.#client?.query(`LISTEN ${channel}`).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
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
        // Whoever depends on it looks by itself as well; the next attempt follows.
      }
      await pause(delay, undefined, { signal, ref: false }).catch(() => undefined);
      delay = Math.min(2 * delay, MAX_RETRY_MS);
    }
  }

  /** Listens until the connection breaks or nobody wants to hear any more, which are both failures here. */
  async #stayConnected(onConnected: () => void): Promise<void> {
    const { signal } = this.#closing;
    const client = new pg.Client({
      connectionString: this.#url,
      connectionTimeoutMillis: this.#timeoutMs,
      query_timeout: this.#timeoutMs,
    });
    client.on('notification', ({ channel, payload = '' }) => this.#callbacks.get(channel)?.(payload));
    const broken = new Promise<never>((_resolve, reject) => {
      const fail = (): void => reject(new Error('The connection is over.'));
      client.on('error', fail).on('end', fail);
      signal.addEventListener('abort', fail, { once: true });
    });
    try {
      await Promise.race([broken, this.#listenOver(client, onConnected)]);
    } finally {
      this.#client = null;
      // A connection that does not answer does not say goodbye either.
      await Promise.race([client.end().catch(() => undefined), pause(GOODBYE_MS, undefined, { ref: false })]);
    }
  }

  async #listenOver(client: pg.Client, onConnected: () => void): Promise<never> {
    await client.connect();
    this.#client = client;
    for (const [channel, callback] of this.#callbacks) {
      await client.query(`LISTEN ${channel}`);
      callback('');
    }
    onConnected();
    for (;;) {
      await pause(TRIAL_INTERVAL_MS, undefined, { ref: false });
      await client.query('SELECT 1');
    }
  }
}
