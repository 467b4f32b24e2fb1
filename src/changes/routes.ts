import type { Change } from './change.ts';
import type { Interest } from './filter.ts';

interface Bucket<Target> {
  readonly all: Set<Target>;
  readonly byColumn: Map<string, Map<unknown, Set<Target>>>;
}

/** An index of targets by model, scope and column value, which finds the targets that a change may concern. */
export class Routes<Target> {
  readonly #buckets = new Map<string, Bucket<Target>>();

  add({ model, scope, where }: Interest, target: Target): void {
    const key = keyOf(model, scope);
    let bucket = this.#buckets.get(key);
    if (!bucket) {
      bucket = { all: new Set(), byColumn: new Map() };
      this.#buckets.set(key, bucket);
    }
    if (!where) {
      bucket.all.add(target);
      return;
    }
    const values = bucket.byColumn.get(where.column) ?? new Map<unknown, Set<Target>>();
    bucket.byColumn.set(where.column, values);
    const targets = values.get(where.value) ?? new Set();
    values.set(where.value, targets);
    targets.add(target);
  }

  remove({ model, scope, where }: Interest, target: Target): void {
    const key = keyOf(model, scope);
    const bucket = this.#buckets.get(key);
    if (!bucket) {
      return;
    }
    if (where) {
      const values = bucket.byColumn.get(where.column);
      const targets = values?.get(where.value);
      targets?.delete(target);
      if (targets?.size === 0) {
        values?.delete(where.value);
      }
      if (values?.size === 0) {
        bucket.byColumn.delete(where.column);
      }
    } else {
      bucket.all.delete(target);
    }
    if (bucket.all.size === 0 && bucket.byColumn.size === 0) {
      this.#buckets.delete(key);
    }
  }

  /** Whether any target has an interest in the scopes and the model of the change. */
  has(change: Change): boolean {
    return this.#bucketsOf(change).length > 0;
  }

  /**
   * Returns every target that the change may concern, once.
   *
   * @throws {UnreadableChangeError} when a column has to be compared and the change cannot be read
   */
  find(change: Change): ReadonlySet<Target> {
    const [bucket, ...more] = this.#bucketsOf(change);
    if (!bucket) {
      return NO_TARGETS;
    }
    if (more.length === 0 && bucket.byColumn.size === 0) {
      return bucket.all;
    }
    const found = new Set<Target>();
    for (const { all, byColumn } of [bucket, ...more]) {
      addAll(found, all);
      for (const [column, values] of byColumn) {
        addAll(found, values.get(change.before?.[column]));
        addAll(found, values.get(change.after?.[column]));
      }
    }
    return found;
  }

  /** Returns every target for the scopes and the model of the change, whatever the values of its columns. */
  findByScope(change: Change): ReadonlySet<Target> {
    const found = new Set<Target>();
    for (const { all, byColumn } of this.#bucketsOf(change)) {
      addAll(found, all);
      for (const values of byColumn.values()) {
        for (const targets of values.values()) {
          addAll(found, targets);
        }
      }
    }
    return found;
  }

  #bucketsOf({ model, scope, otherScope }: Change): Bucket<Target>[] {
    if (this.#buckets.size === 0) {
      return [];
    }
    const keys = [keyOf(model, null)];
    if (scope !== null) {
      keys.push(keyOf(model, scope));
    }
    if (otherScope !== null && otherScope !== scope) {
      keys.push(keyOf(model, otherScope));
    }
    return keys.flatMap((key) => this.#buckets.get(key) ?? []);
  }
}

const NO_TARGETS: ReadonlySet<never> = new Set();

function keyOf(model: string, scope: string | null): string {
  return scope === null ? model : `${model} ${scope}`;
}

function addAll<Target>(found: Set<Target>, targets: ReadonlySet<Target> | undefined): void {
  for (const target of targets ?? []) {
    found.add(target);
  }
}
