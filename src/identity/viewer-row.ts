import type { Context } from '../context.ts';
import { findRow } from '../database/rows.ts';
import { UnauthenticatedError } from '../errors.ts';
import type { Prisma, User } from '../generated/client/client.ts';
import { requireUser } from './rights.ts';

/**
 * Returns the row of the viewer.
 *
 * @throws {UnauthenticatedError} for anonymous callers, and when the account has just been deleted
 */
export async function viewerRow({ database, viewer }: Context): Promise<User> {
  const user = await findRow(database, 'User', { id: requireUser(viewer).id });
  if (!user) {
    throw new UnauthenticatedError();
  }
  return user;
}

/**
 * Locks the row of a user until the end of the transaction, by a write that changes nothing and is not logged. Returns false when the password was changed
 * or the account was deactivated since `user` was read.
 */
export async function lockUser(
  { user }: Prisma.TransactionClient,
  { id, passwordHash }: Pick<User, 'id' | 'passwordHash'>,
): Promise<boolean> {
  const { count } = await user.updateMany({ where: { id, passwordHash, isActive: true }, data: { passwordHash } });
  return count > 0;
}
