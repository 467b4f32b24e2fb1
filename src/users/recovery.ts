import type { Caller, Context, Services } from '../context.ts';
import type { AnswerBudget } from '../database/answer-budget.ts';
import { findRow } from '../database/rows.ts';
import { AppError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { usernameKey } from '../identity/usernames.ts';
import { lockUser } from '../identity/viewer-row.ts';
import { limitMailRequest } from '../identity/write-limits.ts';
import { replacePassword } from './account-status.ts';
import { requireMailer, reserveMail, resetMail } from './link-mails.ts';
import { createLink, invalidLink, userOfLink } from './links.ts';
import { prepareNewPassword } from './password-change.ts';

/**
 * Sends the user with this name a link to set a new password, if there is such an active user with an email address. Neither the answer nor its time
 * reveals whether there is.
 *
 * @throws {AppError} `BAD_INPUT` when the server is not configured to send mail, or for the second request of one operation
 * @throws {OverloadedError} after too many requests from this address within an hour, for this name or for any
 */
export async function requestPasswordReset(context: Context, username: string): Promise<void> {
  const mailer = requireMailer(context);
  rejectSecondRequest(context);
  const key = usernameKey(username);
  await limitMailRequest(context, key);
  mailer.enqueue(async () => {
    const user = await findRow(context.database, 'User', { usernameKey: key });
    return user?.isActive && (await reserveMail(context, 'reset', user.resetEmail)) ? resetMail(context, user) : null;
  });
}

/** Returns a link to set a new password, for a user whose identity the operator has verified. It is valid once, and for a limited time. */
export function resetLink(services: Services, user: User): { url: string; expiresAt: Date } {
  return createLink(services, 'resetPassword', user);
}

/** The user of a verified link, and the hash of the new password. */
export interface PreparedReset {
  readonly user: User;
  readonly passwordHash: string;
}

/**
 * Verifies the token of a link, and checks and hashes the new password.
 *
 * @throws {CredentialsError} when the link was used, has expired, or was never issued
 * @throws {ValidationError} when the password is rejected
 * @throws {OverloadedError} when too many passwords are being checked
 */
export async function prepareReset(services: Services, token: string, newPassword: string): Promise<PreparedReset> {
  const user = await userOfLink(services, 'resetPassword', token);
  return { user, passwordHash: await prepareNewPassword(newPassword, user) };
}

/**
 * Sets the password of the user of a link, and ends every credential that was issued before.
 *
 * @throws {CredentialsError} when the link was used since it was verified
 */
export async function resetPassword(
  { database, identities, source = 'GRAPHQL' }: Caller,
  { user, passwordHash }: PreparedReset,
): Promise<User> {
  identities.suspend(user.id);
  const actor = { id: user.id, name: user.username, source };
  return database.$transaction(async (transaction) => {
    if (!(await lockUser(transaction, user))) {
      throw invalidLink();
    }
    return replacePassword(transaction, { actor, action: 'PASSWORD_RESET' }, user, passwordHash);
  });
}

/** The operations that have requested a mail, identified by the budgets of their answers. */
const withRequest = new WeakSet<AnswerBudget>();

/**
 * Allows one request for each operation: with many, the time of the answer would reveal which names exist.
 *
 * @throws {AppError} `BAD_INPUT` for the second request
 */
function rejectSecondRequest({ answer }: Context): void {
  if (withRequest.has(answer)) {
    throw new AppError('BAD_INPUT', 'An operation can request only one mail. Send the requests one by one.');
  }
  withRequest.add(answer);
}
