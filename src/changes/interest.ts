import type { Change } from './log.ts';
import type { IndexKey } from './watch.ts';

interface ModelIndex<Listener> {
  readonly everything: Set<Listener>;
  readonly columns: Map<string, Map<unknown, Set<Listener>>>;
}

/** Finds the listeners that a change may concern by the values of its columns, without asking all of them. */
export class InterestIndex<Listener> {
  readonly #models = new Map<string, ModelIndex<Listener>>();

  add(keys: readonly IndexKey[], listener: Listener): void {
    for (const key of keys) {
      this.#bucket(key).add(listener);
    }
  }

  remove(keys: readonly IndexKey[], listener: Listener): void {
    for (const key of keys) {
      const bucket = this.#bucket(key);
      bucket.delete(listener);
      const columns = this.#models.get(key.model)?.columns;
      const values = key.column === undefined ? undefined : columns?.get(key.column);
      if (values && bucket.size === 0 && key.column !== undefined) {
        values.delete(key.value);
        if (values.size === 0) {
          columns?.delete(key.column);
        }
      }
    }
  }

  /** Everybody whose keys the row met before the change, or meets after it; each once. */
  find({ model, before, after }: Change): Set<Listener> {
    const index = this.#models.get(model);
    const found = new Set<Listener>(index?.everything);
    for (const [column, values] of index?.columns ?? []) {
      for (const image of [before, after]) {
        for (const listener of (image && values.get(image[column])) ?? []) {
          found.add(listener);
        }
      }
    }
    return found;
  }

  /** Everybody who has this very key. */
  at(key: IndexKey): ReadonlySet<Listener> {
    const index = this.#models.get(key.model);
    const found = key.column === undefined ? index?.everything : index?.columns.get(key.column)?.get(key.value);
    return found ?? new Set();
  }

  #bucket(key: IndexKey): Set<Listener> {
    let index = this.#models.get(key.model);
    if (!index) {
      index = { everything: new Set(), columns: new Map() };
      this.#models.set(key.model, index);
    }
    if (key.column === undefined) {
      return index.everything;
    }
    let values = index.columns.get(key.column);
    if (!values) {
      values = new Map();
      index.columns.set(key.column, values);
    }
    let bucket = values.get(key.value);
    if (!bucket) {
      bucket = new Set();
      values.set(key.value, bucket);
    }
    return bucket;
  }
}
