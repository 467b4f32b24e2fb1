import type { Change } from './change.ts';

/** Called for each access change of a scope as soon as it is committed; with null for a change that cannot be read. */
export type AccessListener = (change: Change | null) => void;

/** The listeners for access changes, by scope. */
export class AccessListeners {
  readonly #ofAllScopes: ((change: Change) => void)[] = [];
  readonly #byScope = new Map<string, Set<AccessListener>>();

  /** Adds a listener for several scopes; returns the function that removes it. */
  add(scopes: readonly string[], listener: AccessListener): () => void {
    // A wrapper for each registration, so that the same function can be registered twice and removed once.
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

  /** Adds a listener for all scopes; it is called before the listeners of single scopes. */
  addToAll(listener: (change: Change) => void): void {
    this.#ofAllScopes.push(listener);
  }

  /** The listeners for all scopes. */
  get ofAllScopes(): readonly ((change: Change) => void)[] {
    return this.#ofAllScopes;
  }

  /** Returns the listeners of a change's scopes, each once. */
  find({ scope, otherScope }: Change): ReadonlySet<AccessListener> {
    return new Set([scope, otherScope].flatMap((each) => [...((each !== null && this.#byScope.get(each)) || [])]));
  }
}
