import DataLoader from 'dataloader';
import type { Context } from '../context.ts';
import { parseId } from '../validation.ts';

const loadersOf = new WeakMap<object, Map<string, DataLoader<number, unknown>>>();

type Load<Value> = (keys: readonly number[]) => Promise<ReadonlyMap<number, Value>>;

/**
 * Loads one of many: what a request asks for under the same `name` in one turn of execution reaches `load` as one list of distinct
 * keys, so relations and aliases cost a constant number of statements. Nothing is kept beyond that turn: what a
 * mutation wrote is seen by the next read of the same request.
 */
export function loadBatched<Value>(
  context: Context,
  name: string,
  key: number,
  load: Load<Value>,
): Promise<Value | undefined> {
  return loaderOf(context, name, load, false).load(key);
}

/**
 * Loads a row that hangs on an object which the viewer may see, and which everybody may see who sees that object: it is read without regard to the
 * viewer. Executions of one delivery share it.
 */
export async function loadRelated<Row extends { readonly id: number }>(
  context: Context,
  model: string,
  id: number,
  find: (ids: number[]) => PromiseLike<readonly Row[]>,
): Promise<Row | undefined> {
  const load: Load<Row> = async (ids) => byId(await find([...ids]));
  const { delivery } = context;
  const loader = loaderOf(delivery ?? context, `related ${model}`, load, delivery !== undefined);
  try {
    return await loader.load(id);
  } catch (error) {
    loader.clear(id);
    throw error;
  }
}

function loaderOf<Value>(
  owner: object,
  name: string,
  load: Load<Value>,
  cache: boolean,
): DataLoader<number, Value | undefined> {
  let loaders = loadersOf.get(owner);
  if (!loaders) {
    loaders = new Map();
    loadersOf.set(owner, loaders);
  }
  let loader = loaders.get(name) as DataLoader<number, Value | undefined> | undefined;
  if (!loader) {
    loader = new DataLoader<number, Value | undefined>(
      async (keys) => {
        const found = await load([...new Set(keys)]);
        return keys.map((key) => found.get(key));
      },
      { cache },
    );
    loaders.set(name, loader);
  }
  return loader;
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
