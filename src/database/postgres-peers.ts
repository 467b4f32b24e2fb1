import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { PostgresListener } from './postgres-listener.ts';

/** PostgreSQL limits the payload of a notification to just under 8,000 bytes. */
const MAX_PAYLOAD_LENGTH = 7_500;

/** The channel of PostgreSQL that carries a topic. */
export function channelOf(topic: string): string {
  return `tidings_${topic}`;
}

/**
 * The other processes that share a PostgreSQL database. A message to them may get lost: a process to which it matters polls the database
 * as well.
 */
export class PostgresPeers {
  readonly #me = randomUUID();
  readonly #listener: PostgresListener;
  readonly #pool: pg.Pool;
  readonly #waiting = new Map<string, Set<string>>();
  #sending: Promise<void> | null = null;

  /** `timeoutMs` is how long a connection attempt and a notification may take. */
  constructor(url: string, timeoutMs: number) {
    this.#listener = new PostgresListener(url, timeoutMs);
    this.#pool = new pg.Pool({
      connectionString: url,
      max: 1,
      connectionTimeoutMillis: timeoutMs,
      query_timeout: timeoutMs,
      keepAlive: true,
    });
    // The query that needs a broken connection reports it; the pool makes another one.
    this.#pool.on('error', () => undefined);
  }

  /** Calls back for the messages of others; with an empty one when something may have been missed. Returns the function that ends it. */
  listen(topic: string, receive: (message: string) => void): Promise<() => void> {
    return this.#listener.listen(channelOf(topic), (payload) => {
      const [sender, ...messages] = payload.split('\n');
      if (sender !== this.#me) {
        for (const message of messages.length > 0 ? messages : ['']) {
          receive(message);
        }
      }
    });
  }

  /**
   * Sends a message to the others. Every notification makes the commits of the whole server wait for each other, so there is one at a time: the messages
   * that come meanwhile go together, and equal ones once. A message is one line of less than 1,000 characters.
   */
  send(topic: string, message: string): void {
    const waiting = this.#waiting.get(topic) ?? new Set();
    waiting.add(message);
    this.#waiting.set(topic, waiting);
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = null;
    });
  }

  async close(): Promise<void> {
    await this.#sending;
    await this.#listener.close();
    await this.#pool.end();
  }

  async #sendAll(): Promise<void> {
    // Messages of the same turn go along.
    await Promise.resolve();
    for (const [topic, messages] of this.#waiting) {
      this.#waiting.delete(topic);
      for (const payload of this.#payloadsOf(messages)) {
        await this.#pool
          .query('SELECT pg_notify($1, $2)', [channelOf(topic), payload])
          // The others poll.
          .catch(() => undefined);
      }
    }
  }

  #payloadsOf(messages: Iterable<string>): string[] {
    const payloads: string[] = [];
    let payload = this.#me;
    for (const message of messages) {
      if (payload.length + message.length >= MAX_PAYLOAD_LENGTH) {
        payloads.push(payload);
        payload = this.#me;
      }
      payload += `\n${message}`;
    }
    return [...payloads, payload];
  }
}
