import type { Transaction } from '../database/client.ts';
import { isUniqueViolation } from '../database/failures.ts';
import { findRow } from '../database/rows.ts';
import { ValidationError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { usernameKey, usernameSkeleton } from '../identity/usernames.ts';

/** Returns the unique columns that are derived from a username. */
export function usernameKeys(name: string): { usernameKey: string; usernameSkeleton: string } {
  return { usernameKey: usernameKey(name), usernameSkeleton: usernameSkeleton(name) };
}

/**
 * Runs a write of a username.
 *
 * @throws {ValidationError} when the name is taken, or looks like that of another user
 */
export async function rejectTakenName(
  { database }: { readonly database: Transaction },
  { path, name, id }: { readonly path: string; readonly name: string; readonly id?: number },
  write: () => PromiseLike<User>,
): Promise<User> {
  // Read first: of two violated constraints, a database may report either, and after a violation a transaction of PostgreSQL cannot read.
  const similar = await findRow(database, 'User', { usernameSkeleton: usernameSkeleton(name) });
  if (similar && similar.id !== id && similar.usernameKey !== usernameKey(name)) {
    throw new ValidationError([{ path, message: 'This username looks like that of another user.' }]);
  }
  try {
    return await write();
  } catch (error) {
    if (isUniqueViolation(error)) {
      throw new ValidationError([{ path, message: 'A user with that username already exists.' }]);
    }
    throw error;
  }
}
