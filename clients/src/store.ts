/** A value that can be read and observed: the shape that `useSyncExternalStore` of React and similar hooks take. */
export interface Store<Value> {
  readonly getState: () => Value;
  /** Calls the listener after each change. Returns the function that stops this. */
  readonly subscribe: (listener: () => void) => () => void;
}

/** Returns a store, and the function that changes its value. */
export function createStore<Value>(initial: Value): Store<Value> & { readonly set: (value: Value) => void } {
  let state = initial;
  const listeners = new Set<() => void>();
  return {
    getState: () => state,
    subscribe: (listener) => {
      // An object of its own for each call, so that the same listener can be added twice.
      const entry = (): void => listener();
      listeners.add(entry);
      return () => {
        listeners.delete(entry);
      };
    },
    set: (value) => {
      state = value;
      for (const listener of [...listeners]) {
        listener();
      }
    },
  };
}
