import type { Context } from '../context.ts';
import { findRow } from '../database/rows.ts';
import type { User } from '../generated/client/client.ts';
import { usernameKey } from '../identity/usernames.ts';
import { findVisible } from '../identity/visible-rows.ts';
import { visibleUsers } from './policy.ts';

/** Returns the user with this name, without regard to case, if the viewer may see users. */
export function findUser({ database, viewer }: Context, name: string): Promise<User | undefined> {
  return findRow(database, 'User', { AND: [{ usernameKey: usernameKey(name) }, visibleUsers(viewer)] });
}

/** Returns the user with this id if the viewer may see users; batched. */
export function findUserById(context: Context, id: string | number): Promise<User | undefined> {
  return findVisible(context, 'User', id, visibleUsers(context.viewer));
}
