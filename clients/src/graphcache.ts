import type { Cache, Entity, UpdateResolver } from '@urql/exchange-graphcache';
import { type ChangeEvent, type Identified, objectOf } from './change.ts';

/** The lists of a query that show the objects of a subscription. */
export interface GraphcacheListOptions {
  /** The field of `Query` with the list, like `todos`. Each of its variants in the cache is updated. */
  readonly list?: string | undefined;
  /** Where new objects belong: `end` for lists with the oldest object first, which is the default order, `start` for the others. */
  readonly insert?: 'start' | 'end' | undefined;
  /** Whether an object belongs to the list with these arguments. Without it, new objects belong to all variants. */
  readonly belongs?:
    | ((node: Identified & Record<string, unknown>, args: Record<string, unknown>) => boolean)
    | undefined;
}

type Result = Readonly<Record<string, ChangeEvent & { readonly __typename?: string }>>;

/**
 * Returns `updates.Subscription` of Graphcache: `changeUpdates({ todoChanged: { list: 'todos' } })`. Deleted objects are removed from the list, and new ones added
 * if it is selected by `nodes`. Lists that are selected by `edges` are fetched again when an object is created.
 */
export function changeUpdates(
  lists: Readonly<Record<string, GraphcacheListOptions>>,
): Record<string, UpdateResolver<Result, never>> {
  return Object.fromEntries(
    Object.entries(lists).map(([field, options]) => [
      field,
      (result: Result, _args: never, cache: Cache) => {
        const event = result[field];
        if (event) {
          applyToGraphcache(cache, event, options);
        }
      },
    ]),
  );
}

function applyToGraphcache(
  cache: Cache,
  event: ChangeEvent & { readonly __typename?: string },
  { list, insert = 'end', belongs }: GraphcacheListOptions,
): void {
  const typename = event.__typename?.replace(/Change$/, '');
  const node = objectOf<Identified & Record<string, unknown>>(event);
  const entity = { __typename: typename, id: event.id } as Entity;
  const key = cache.keyOfEntity(entity as never);
  if (typename === undefined || key === null) {
    throw new TypeError(
      'The event has no `__typename`: it is added to each document that passes through urql’s caches.',
    );
  }
  for (const { fieldName, fieldKey, arguments: args } of cache.inspectFields('Query')) {
    const page = cache.resolve('Query', fieldKey);
    if (fieldName !== list || typeof page !== 'string') {
      continue;
    }
    const isIn = node !== null && event.action !== 'DELETED' && belongs?.(node, args ?? {}) !== false;
    const mayBeNew = event.action === 'CREATED' || belongs !== undefined;
    if (isIn && mayBeNew) {
      insertInto(cache, { page, fieldKey, key, insert });
    } else if (!isIn) {
      removeFrom(cache, page, key);
    }
  }
}

interface Insertion {
  readonly page: string;
  readonly fieldKey: string;
  readonly key: string;
  readonly insert: 'start' | 'end';
}

function insertInto(cache: Cache, { page, fieldKey, key, insert }: Insertion): void {
  const nodes = cache.resolve(page, 'nodes') as string[] | undefined;
  const edges = cache.resolve(page, 'edges') as string[] | undefined;
  const info = cache.resolve(page, 'pageInfo');
  const more = info && cache.resolve(info as Entity, insert === 'end' ? 'hasNextPage' : 'hasPreviousPage');
  if (nodes?.includes(key) || edges?.some((edge) => cache.resolve(edge, 'node') === key) || more === true) {
    return;
  }
  if (edges) {
    cache.invalidate('Query', fieldKey);
  } else if (nodes) {
    cache.link(page, 'nodes', insert === 'start' ? [key, ...nodes] : [...nodes, key]);
  }
}

function removeFrom(cache: Cache, page: string, key: string): void {
  const nodes = cache.resolve(page, 'nodes') as string[] | undefined;
  const edges = cache.resolve(page, 'edges') as string[] | undefined;
  if (nodes?.includes(key)) {
    cache.link(
      page,
      'nodes',
      nodes.filter((each) => each !== key),
    );
  }
  if (edges) {
    cache.link(
      page,
      'edges',
      edges.filter((edge) => cache.resolve(edge, 'node') !== key),
    );
  }
}
