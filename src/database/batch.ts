import DataLoader from 'dataloader';
import type { Context } from '../context.ts';
import { parseId } from '../validation.ts';

const loadersOf = new WeakMap<Context, Map<string, DataLoader<number, unknown>>>();

/**
 * Loads one of many: what a request asks for under the same `name` in one turn of execution reaches `load` as one list of distinct
 * keys, so relations and aliases cost a constant number of statements. Nothing is kept beyond that turn: what a
 * mutation wrote is seen by the next read of the same request.
 */
export function loadBatched<Value>(
  context: Context,
  name: string,
  key: number,
  load: (keys: readonly number[]) => Promise<ReadonlyMap<number, Value>>,
): Promise<Value | undefined> {
  let loaders = loadersOf.get(context);
  if (!loaders) {
    loaders = new Map();
    loadersOf.set(context, loaders);
  }
  let loader = loaders.get(name) as DataLoader<number, Value | undefined> | undefined;
  if (!loader) {
    loader = new DataLoader<number, Value | undefined>(
      async (keys) => {
        const found = await load([...new Set(keys)]);
        return keys.map((key) => found.get(key));
      },
      { cache: false },
    );
    loaders.set(name, loader);
  }
  return loader.load(key);
}

/** The row with this id among those that `find` gives; what a request asks for of one `model` is found together. */
export async function findBatched<Row extends { readonly id: number }>(
  context: Context,
  model: string,
  id: string | number,
  find: (ids: number[]) => PromiseLike<readonly Row[]>,
): Promise<Row | undefined> {
  const key = parseId(id);
  return key === null ? undefined : loadBatched(context, model, key, async (ids) => byId(await find([...ids])));
}

/** Rows by their id. */
export function byId<Row extends { readonly id: number }>(rows: readonly Row[]): ReadonlyMap<number, Row> {
  return new Map(rows.map((row) => [row.id, row]));
}
