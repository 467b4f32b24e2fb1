import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { connectionOf } from './postgres-connection.ts';
import { PostgresListener } from './postgres-listener.ts';

/** PostgreSQL limits the payload of a notification to just under 8,000 bytes. */
const MAX_PAYLOAD_LENGTH = 7_500;

/** Returns the PostgreSQL notification channel of a topic. */
export function channelOf(topic: string): string {
  return `tidings_${topic}`;
}

/**
 * Messages to the other processes that share a PostgreSQL database. A message may be lost, so that a process that depends on it polls the database as well.
 */
export class PostgresPeers {
  readonly #processId = randomUUID();
  readonly #listener: PostgresListener;
  readonly #pool: pg.Pool;
  readonly #waiting = new Map<string, Set<string>>();
  #sending: Promise<void> | null = null;

  /** `timeoutMs` is the time-out of a connection attempt and of a notification. */
  constructor(url: string, timeoutMs: number) {
    this.#listener = new PostgresListener(url, timeoutMs);
    this.#pool = new pg.Pool({
      ...connectionOf(url),
      max: 1,
      connectionTimeoutMillis: timeoutMs,
      query_timeout: timeoutMs,
      keepAlive: true,
    });
    // The query that needs a broken connection fails, and the pool opens another connection.
    this.#pool.on('error', () => undefined);
  }

  /** Calls back for the messages of other processes, and with an empty message when some may have been missed; returns the function that removes the listener. */
  listen(topic: string, receive: (message: string) => void): Promise<() => void> {
    return this.#listener.listen(channelOf(topic), (payload) => {
      const [sender, ...messages] = payload.split('\n');
      if (sender !== this.#processId) {
        for (const message of messages.length > 0 ? messages : ['']) {
          receive(message);
        }
      }
    });
  }

  /**
   * Sends a message to the other processes. A notification serialises the commits of the whole database server, so each process sends one at a time: messages
   * that arrive before it has ended are sent together, without duplicates. A message is one line of less than 1,000 characters.
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
    // Waits for further messages of the same turn of the event loop.
    await Promise.resolve();
    for (const [topic, messages] of this.#waiting) {
      this.#waiting.delete(topic);
      for (const payload of this.#payloadsOf(messages)) {
        await this.#pool
          .query('SELECT pg_notify($1, $2)', [channelOf(topic), payload])
          // The receivers also poll.
          .catch(() => undefined);
      }
    }
  }

  #payloadsOf(messages: Iterable<string>): string[] {
    const payloads: string[] = [];
    let payload = this.#processId;
    for (const message of messages) {
      if (payload.length + message.length >= MAX_PAYLOAD_LENGTH) {
        payloads.push(payload);
        payload = this.#processId;
      }
      payload += `\n${message}`;
    }
    return [...payloads, payload];
  }
}
