import type { Change } from './change.ts';

/** Called for each access change of a scope as soon as it is committed; with null for one that cannot be read. */
export type AccessListener = (change: Change | null) => void;

/** Who has to know of access changes, by scope. */
export class AccessListeners {
  readonly #ofEvery: ((change: Change) => void)[] = [];
  readonly #byScope = new Map<string, Set<AccessListener>>();

  /** Adds a listener for several scopes; returns the function that removes it. */
  add(scopes: readonly string[], listener: AccessListener): () => void {
    // Each registration is one of its own, whoever else is called back by the same function.
    const own: AccessListener = (change) => listener(change);
    for (const scope of scopes) {
      const listeners = this.#byScope.get(scope) ?? new Set();
      this.#byScope.set(scope, listeners);
      listeners.add(own);
    }
    return () => {
      for (const scope of scopes) {
        const listeners = this.#byScope.get(scope);
        if (listeners?.delete(own) && listeners.size === 0) {
          this.#byScope.delete(scope);
        }
      }
    };
  }

  /** Adds a listener for every scope; it is called before those of a scope. */
  addToEvery(listener: (change: Change) => void): void {
    this.#ofEvery.push(listener);
  }

  /** The listeners of every scope. */
  get ofEvery(): readonly ((change: Change) => void)[] {
    return this.#ofEvery;
  }

  /** The listeners of a change's scopes, each once. */
  find({ scope, otherScope }: Change): ReadonlySet<AccessListener> {
    return new Set([scope, otherScope].flatMap((each) => [...((each !== null && this.#byScope.get(each)) || [])]));
  }
}
