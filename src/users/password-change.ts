import { actorOf } from '../audit/service.ts';
import type { Context } from '../context.ts';
import type { User } from '../generated/client/client.ts';
import { clearCookie, isByCookie, newCookie } from '../identity/cookies.ts';
import { hashPassword, passwordProblems } from '../identity/passwords.ts';
import type { TokenPair } from '../identity/tokens.ts';
import { startSession } from '../sessions/sessions.ts';
import { replacePassword } from './account-status.ts';
import { confirmPassword, lockUnchanged } from './confirmation.ts';
import { throwProblems } from './fields.ts';

export interface NewPassword {
  readonly currentPassword: string;
  readonly newPassword: string;
}

/** A user who has confirmed a change of the password, and the hash of the new one. */
export interface PreparedPassword {
  readonly user: User;
  readonly passwordHash: string;
}

/**
 * Checks the current password of the viewer, and checks and hashes the new one.
 *
 * @throws {ValidationError} when the current password is wrong or the new one is rejected
 * @throws {OverloadedError} after too many wrong passwords, or when too many are being checked
 */
export async function preparePassword(context: Context, input: NewPassword): Promise<PreparedPassword> {
  const user = await confirmPassword(context, input.currentPassword);
  return { user, passwordHash: await prepareNewPassword(input.newPassword, user) };
}

/**
 * Checks and hashes a new password of a user.
 *
 * @throws {ValidationError} when it is rejected
 * @throws {OverloadedError} when too many passwords are being checked
 */
export async function prepareNewPassword(newPassword: string, user: User): Promise<string> {
  throwProblems(passwordProblems(newPassword, user).map((message) => ({ path: 'newPassword', message })));
  return hashPassword(newPassword);
}

/**
 * Sets a new password and ends every credential that was issued before.
 *
 * @throws {UnauthenticatedError} when the password was changed or the account deactivated since it was confirmed
 */
export async function setPassword(context: Context, { user, passwordHash }: PreparedPassword): Promise<User> {
  context.identities.suspend(user.id);
  const act = { actor: actorOf(context), action: 'PASSWORD_CHANGED' } as const;
  const changed = await context.database.$transaction(async (transaction) => {
    await lockUnchanged(transaction, user);
    return replacePassword(transaction, act, user, passwordHash);
  });
  clearCookie(context);
  return changed;
}

/**
 * Changes the password of the viewer and starts a new session, with a cookie if the request was authenticated by one.
 *
 * @throws {ValidationError} when the current password is wrong or the new one is rejected
 * @throws {OverloadedError} after too many wrong passwords, or when too many are being checked
 */
export async function changePassword(context: Context, input: NewPassword): Promise<TokenPair> {
  const user = await setPassword(context, await preparePassword(context, input));
  const { viewer, cookie, tokens } = context;
  if (!cookie?.write || !isByCookie(viewer)) {
    return startSession(context, user);
  }
  const { hash, ...next } = newCookie(tokens, new Date());
  const pair = await startSession(context, user, hash);
  cookie.write(next);
  return pair;
}
