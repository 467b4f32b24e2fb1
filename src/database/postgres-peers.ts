import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { PostgresListener } from './postgres-listener.ts';

/** What PostgreSQL takes as the text of one notification is just under 8,000 bytes. */
const MAX_PAYLOAD_LENGTH = 7_500;

/** The channel of PostgreSQL that carries a topic. */
export function channelOf(topic: string): string {
  return `tidings_${topic}`;
}

/**
 * The other processes that share a PostgreSQL database, told of what they have to know at once. What is told here may get lost: when
 * it matters, whoever is told looks by itself as well.
 */
export class PostgresPeers {
  readonly #me = randomUUID();
  readonly #listener: PostgresListener;
  readonly #pool: pg.Pool;
  readonly #waiting = new Map<string, Set<string>>();
  #telling: Promise<void> | null = null;

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
    // A connection that breaks is told by the query that needs it; the pool makes another one.
    this.#pool.on('error', () => undefined);
  }

  /** Calls back for what others tell; with an empty message when something may have been missed. */
  listen(topic: string, take: (message: string) => void): void {
    this.#listener.listen(channelOf(topic), (payload) => {
      const [sender, ...messages] = payload.split('\n');
      if (sender !== this.#me) {
        for (const message of messages.length > 0 ? messages : ['']) {
          take(message);
        }
      }
    });
  }

  /**
   * Tells the others. Every notification makes the commits of the whole server wait for each other, so there is one at a time: what is
   * told meanwhile goes together, and the same thing once. A message is one line of less than 1,000 characters.
   */
  tell(topic: string, message: string): void {
    const waiting = this.#waiting.get(topic) ?? new Set();
    waiting.add(message);
    this.#waiting.set(topic, waiting);
    this.#telling ??= this.#tellAll().finally(() => {
      this.#telling = null;
    });
  }

  async close(): Promise<void> {
    await this.#telling;
    await this.#listener.close();
    await this.#pool.end();
  }

  async #tellAll(): Promise<void> {
    // What is told in the same turn goes along.
    await Promise.resolve();
    for (const [topic, messages] of this.#waiting) {
      this.#waiting.delete(topic);
      for (const payload of this.#payloadsOf(messages)) {
        await this.#pool
          .query('SELECT pg_notify($1, $2)', [channelOf(topic), payload])
          // Whoever is not told finds out by looking.
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
