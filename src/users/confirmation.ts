import type { Context } from '../context.ts';
import type { Transaction } from '../database/client.ts';
import { UnauthenticatedError, ValidationError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { limitConfirmation } from '../identity/attempts.ts';
import { passwordMatches } from '../identity/passwords.ts';
import { requireUser } from '../identity/rights.ts';
import { lockUser, viewerRow } from '../identity/viewer-row.ts';

/**
 * Locks the row of a user who has confirmed a change with their password.
 *
 * @throws {UnauthenticatedError} when the password was changed or the account deactivated since, which withdraws the confirmation
 */
export async function lockUnchanged(transaction: Transaction, user: User): Promise<void> {
  if (!(await lockUser(transaction, user))) {
    throw new UnauthenticatedError();
  }
}

/**
 * Returns the row of the viewer if this is their password.
 *
 * @throws {ValidationError} when the password is wrong
 * @throws {OverloadedError} after too many wrong passwords, or when too many are being checked
 */
export async function confirmPassword(context: Context, currentPassword: string): Promise<User> {
  const user = await limitConfirmation(context, requireUser(context.viewer), async () => {
    const row = await viewerRow(context);
    return (await passwordMatches(row.passwordHash, currentPassword)) ? row : null;
  });
  if (!user) {
    throw new ValidationError([{ path: 'currentPassword', message: 'Invalid password.' }]);
  }
  return user;
}
