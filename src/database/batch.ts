import DataLoader from 'dataloader';
import type { Context } from '../context.ts';
import { parseId } from '../validation.ts';

const loadersOf = new WeakMap<object, Map<string, unknown>>();

/** How many rows one statement finds by their ids. */
const MAX_IDS_OF_A_STATEMENT = 100;

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
export function loadRelated<Row extends { readonly id: number }>(
  context: Context,
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

/** The same for the rows that hang on all objects of a page, by their ids: a page waits once, not once for each of its objects. */
export function loadRelatedOfPage<Row extends { readonly id: number }>(
  context: Context,
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

/** The loader of a request or a delivery under a name. */
function cached<Loader>(owner: object, name: string, make: () => Loader): Loader {
  const loaders = loadersOf.get(owner) ?? new Map<string, unknown>();
  loadersOf.set(owner, loaders);
  const loader = (loaders.get(name) as Loader | undefined) ?? make();
  loaders.set(name, loader);
  return loader;
}

/**
 * The row with this id among those that `find` gives; what a request asks for of one `model` is found together.
 *
 * @throws {AppError} `COMPLEXITY` when the operation has read too much; see {@link AnswerBudget}
 */
export async function findBatched<Row extends { readonly id: number }>(
  context: Context,
  model: string,
  id: string | number,
  find: (ids: number[]) => PromiseLike<readonly Row[]>,
): Promise<Row | undefined> {
  const key = parseId(id);
  const load: Load<Row> = async (ids) =>
    byId(
      await inParts(ids, MAX_IDS_OF_A_STATEMENT, (part) => context.answer.read(async () => [...(await find(part))])),
    );
  return key === null ? undefined : loadBatched(context, model, key, load);
}

/** Reads the rows of many keys, of so many keys at a time. */
export async function inParts<Row>(
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

/** Rows by their id. */
export function byId<Row extends { readonly id: number }>(rows: readonly Row[]): ReadonlyMap<number, Row> {
  return new Map(rows.map((row) => [row.id, row]));
}
