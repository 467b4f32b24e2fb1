type Listener = (userId: number, isConnected: boolean) => void;

/** The users who have open connections to this process: WebSockets and event streams. Memory depends on the open connections only. */
export class ConnectedUsers {
  readonly #users = new Set<number>();
  readonly #listeners = new Set<Listener>();

  has(userId: number): boolean {
    return this.#users.has(userId);
  }

  /** Records that a user has opened their first connection, or closed their last one. */
  set(userId: number, isConnected: boolean): void {
    if (isConnected) {
      this.#users.add(userId);
    } else {
      this.#users.delete(userId);
    }
    for (const listener of this.#listeners) {
      listener(userId, isConnected);
    }
  }

  /** Calls back for each user who connects or disconnects; returns the function that removes the listener. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
