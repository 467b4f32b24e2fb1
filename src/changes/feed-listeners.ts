import { type AccessListener, AccessListeners } from './access-listeners.ts';
import type { Change } from './change.ts';

/** The listeners of a feed. A listener that throws does not keep the others from being called. */
export class FeedListeners {
  readonly #onFailure: (error: unknown) => void;
  readonly #access = new AccessListeners();
  readonly #byModel = new Map<string, Set<() => void>>();
  readonly #ofReset = new Set<() => void>();

  /** `onFailure` is called with the errors that listeners throw. */
  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  addAccess(scopes: readonly string[], listener: AccessListener): () => void {
    return this.#access.add(scopes, listener);
  }

  addAnyAccess(listener: (change: Change) => void): void {
    this.#access.addToAll(listener);
  }

  addModel(model: string, listener: () => void): () => void {
    const listeners = this.#byModel.get(model) ?? new Set();
    this.#byModel.set(model, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  addReset(listener: () => void): () => void {
    this.#ofReset.add(listener);
    return () => this.#ofReset.delete(listener);
  }

  callAccess(change: Change): void {
    for (const listener of this.#access.ofAllScopes) {
      this.guard(() => listener(change));
    }
    for (const listener of this.#access.find(change)) {
      this.guard(() => listener(change.isReadable ? change : null));
    }
  }

  callModels(models: ReadonlySet<string>): void {
    for (const model of models) {
      for (const listener of this.#byModel.get(model) ?? []) {
        this.guard(listener);
      }
    }
  }

  callReset(): void {
    for (const listener of [...this.#ofReset]) {
      this.guard(listener);
    }
  }

  /** Calls a function and reports the error that it throws. */
  guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#onFailure(error);
    }
  }
}
