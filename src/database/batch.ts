import DataLoader from 'dataloader';
import { parseId } from '../validation.ts';
import type { ReadContext } from './read-context.ts';

const loadersOf = new WeakMap<object, Map<string, unknown>>();

/** The number of ids in one statement. */
const MAX_IDS_PER_STATEMENT = 100;

type Load<Value> = (keys: readonly number[]) => Promise<ReadonlyMap<number, Value>>;

/**
 * Loads the value of a key. All keys that a request loads under the same `name` in one turn of execution are passed to `load` as one list of distinct keys, so
 * that relations and aliases cost a constant number of statements. Nothing is cached beyond that turn, so that the next read of the same request sees
 * the writes of a mutation.
 */
export function loadBatched<Value>(
  context: ReadContext,
  name: string,
  key: number,
  load: Load<Value>,
): Promise<Value | undefined> {
  return loaderOf(context, name, load, false).load(key);
}

/**
 * Loads a row to which a visible object refers. Every viewer who may see the object may see the row, so it is read without a policy. Executions with the same
 * loader scope share the row.
 */
export function loadRelated<Row extends { readonly id: number }>(
  context: ReadContext,
  model: string,
  id: number,
  find: (ids: number[]) => PromiseLike<readonly Row[]>,
): Promise<Row | undefined> {
  const load: Load<Row> = async (ids) => byId(await find([...ids]));
  const { delivery } = context;
  if (!delivery) {
    return loaderOf(context, `related ${model}`, load, false).load(id);
  }
  const loader = loaderOf(delivery, `related ${model}`, load, true);
  return loader.load(id).catch((error: unknown) => {
    loader.clear(id);
    throw error;
  });
}

/** Loads the rows to which the objects of a page refer, as {@link loadRelated} does, with one promise for the page instead of one for each object. */
export function loadRelatedOfPage<Row extends { readonly id: number }>(
  context: ReadContext,
  model: string,
  ids: readonly number[],
  find: (ids: number[]) => PromiseLike<readonly Row[]>,
): Promise<ReadonlyMap<number, Row>> {
  const load = async (pages: readonly (readonly number[])[]) => {
    const found = byId(await find([...new Set(pages.flat())]));
    return pages.map(() => found);
  };
  return cached(context, `related ${model} of pages`, () => new DataLoader(load, { cache: false })).load(ids);
}

function loaderOf<Value>(
  owner: object,
  name: string,
  load: Load<Value>,
  cache: boolean,
): DataLoader<number, Value | undefined> {
  return cached(
    owner,
    name,
    () =>
      new DataLoader<number, Value | undefined>(
        async (keys) => {
          const found = await load([...new Set(keys)]);
          return keys.map((key) => found.get(key));
        },
        { cache },
      ),
  );
}

/** Returns the loader of a request or a loader scope under a name; creates it at the first use. */
function cached<Loader>(owner: object, name: string, make: () => Loader): Loader {
  const loaders = loadersOf.get(owner) ?? new Map<string, unknown>();
  loadersOf.set(owner, loaders);
  const loader = (loaders.get(name) as Loader | undefined) ?? make();
  loaders.set(name, loader);
  return loader;
}

/**
 * Returns the row with this id that `find` returns; the ids of one `model` that a request asks for in one turn are found together.
 *
 * @throws {AppError} `COMPLEXITY` when the operation has read more than its limit; see {@link AnswerBudget}
 */
export async function findBatched<Row extends { readonly id: number }>(
  context: ReadContext,
  model: string,
  id: string | number,
  find: (ids: number[]) => PromiseLike<readonly Row[]>,
): Promise<Row | undefined> {
  const key = parseId(id);
  const load: Load<Row> = async (ids) =>
    byId(
      await inChunks(ids, MAX_IDS_PER_STATEMENT, (part) => context.answer.read(async () => [...(await find(part))])),
    );
  return key === null ? undefined : loadBatched(context, model, key, load);
}

/** Reads the rows of keys, at most `length` keys at a time. */
export async function inChunks<Row>(
  keys: readonly number[],
  length: number,
  read: (part: number[]) => Promise<readonly Row[]>,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (let at = 0; at < keys.length; at += length) {
    rows.push(...(await read(keys.slice(at, at + length))));
  }
  return rows;
}

/** Returns rows by their ids. */
export function byId<Row extends { readonly id: number }>(rows: readonly Row[]): ReadonlyMap<number, Row> {
  return new Map(rows.map((row) => [row.id, row]));
}
