import type { PostgresPeers } from '../database/postgres-peers.ts';

type Listener = (message: string) => void;

/** Sends a message of this process to other processes. */
type SignalTransport = (topic: string, message: string) => void;

/**
 * Messages between the processes of a server that are not stored. A process receives the messages on the topics that it listens to at the time. Delivery is
 * best effort: a message may be lost, and a message that two transports deliver is received twice.
 */
export class Signals {
  readonly #peers: PostgresPeers | null;
  readonly #transports: SignalTransport[] = [];
  readonly #listeners = new Map<string, Set<Listener>>();

  /** `peers` are the other processes that share a PostgreSQL database; null on SQLite. */
  constructor(peers: PostgresPeers | null) {
    this.#peers = peers;
  }

  /** Adds a transport to other processes; its owner passes their messages to {@link receive}. */
  addTransport(transport: SignalTransport): void {
    this.#transports.push(transport);
  }

  /** Sends a message, one line of less than 1,000 characters, to the other processes. */
  send(topic: string, message: string): void {
    this.#peers?.send(topic, message);
    for (const send of this.#transports) {
      send(topic, message);
    }
  }

  /** Passes a message of another process to the listeners of its topic. */
  receive(topic: string, message: string): void {
    for (const listener of this.#listeners.get(topic) ?? []) {
      listener(message);
    }
  }

  /**
   * Calls back for the messages of other processes on a topic. Resolves when the processes that share the database are listened to, or will be once PostgreSQL
   * can be reached again, with the function that removes the listener.
   */
  async listen(topic: string, listener: Listener): Promise<() => void> {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(listener));
    const remove = (): void => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(topic) === listeners) {
        this.#listeners.delete(topic);
      }
    };
    try {
      const stopListening = await this.#peers?.listen(topic, listener);
      return () => {
        stopListening?.();
        remove();
      };
    } catch (error) {
      remove();
      throw error;
    }
  }
}
