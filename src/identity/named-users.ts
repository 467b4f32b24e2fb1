import type { Context } from '../context.ts';
import { loadRelated, loadRelatedOfPage } from '../database/batch.ts';
import type { Page } from '../database/page.ts';
import { findRows } from '../database/rows.ts';
import type { User } from '../generated/client/client.ts';

/** For each object of a page, the users whom the objects of that page refer to. */
const usersOfPages = new WeakMap<object, ReadonlyMap<number, User>>();

/** Returns the user whom an object refers to, given that the viewer may see the object; batched. For an object of a page {@link withUsers} it reads nothing. */
export function loadUser(context: Context, id: number, object?: object): Promise<User | undefined> | User {
  return (object && usersOfPages.get(object)?.get(id)) ?? loadRelated(context, 'User', id, usersIn(context));
}

/** Reads a page together with the users whom its objects refer to. */
export async function withUsers<Row extends object>(
  context: Context,
  reading: Promise<Page<Row>>,
  idOf: (row: Row) => number | null,
): Promise<Page<Row>> {
  const page = await reading;
  const ids = new Set(page.rows.flatMap((row) => idOf(row) ?? []));
  if (ids.size === 0) {
    return page;
  }
  const users = await loadRelatedOfPage(context, 'User', [...ids], usersIn(context));
  for (const row of page.rows) {
    usersOfPages.set(row, users);
  }
  return page;
}

function usersIn({ database }: Context) {
  return (ids: number[]): Promise<User[]> => findRows(database, 'User', { where: { id: { in: ids } } });
}
