import { z } from 'zod';
import { actorOf, recordAct } from '../audit/service.ts';
import type { Context } from '../context.ts';
import type { User } from '../generated/client/client.ts';
import { clearCookie } from '../identity/cookies.ts';
import { validate } from '../validation.ts';
import { deactivateAccount } from './account-status.ts';
import { lockUnchanged } from './confirmation.ts';
import { username } from './fields.ts';
import { rejectTakenName, usernameKeys } from './unique-names.ts';

/**
 * Changes the username of a user. The access tokens of the user become invalid, since they contain the old name.
 *
 * @throws {ValidationError} when the name is taken or rejected
 * @throws {UnauthenticatedError} when the password was changed or the account deactivated since it was confirmed
 */
export async function setUsername(context: Context, user: User, name: string): Promise<User> {
  const { newUsername } = validate(z.object({ newUsername: username }), { newUsername: name });
  context.identities.suspend(user.id);
  const details = `new name: ${newUsername}`;
  return rejectTakenName(context, { path: 'newUsername', name: newUsername, id: user.id }, () =>
    context.database.$transaction(async (transaction) => {
      await lockUnchanged(transaction, user);
      await recordAct(transaction, { actor: actorOf(context), action: 'USERNAME_CHANGED', subject: user, details });
      return transaction.user.update({
        where: { id: user.id },
        data: { username: newUsername, ...usernameKeys(newUsername) },
      });
    }),
  );
}

/**
 * Deactivates an account, which ends every credential at once. The rows that the user created stay.
 *
 * @throws {UnauthenticatedError} when the password was changed or the account deactivated since it was confirmed
 */
export async function deactivateUser(context: Context, user: User): Promise<User> {
  context.identities.suspend(user.id);
  const deactivated = await context.database.$transaction(async (transaction) => {
    await lockUnchanged(transaction, user);
    return deactivateAccount(transaction, actorOf(context), user);
  });
  clearCookie(context);
  return deactivated;
}
