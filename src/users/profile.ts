import type { z } from 'zod';
import { actorOf, recordAct } from '../audit/service.ts';
import type { Context } from '../context.ts';
import type { User } from '../generated/client/client.ts';
import { requireUser } from '../identity/rights.ts';
import { viewerRow } from '../identity/viewer-row.ts';
import { oneOf, type Unvalidated, validate } from '../validation.ts';
import { confirmPassword, lockUnchanged } from './confirmation.ts';
import { newAccount } from './fields.ts';

/** Who may add a user to a chat: every participant of any chat, or only users with whom they share a chat. */
const ADDABLE_BY = ['EVERYBODY', 'CONTACTS'] as const;
export type AddableBy = (typeof ADDABLE_BY)[number];

/** Whether users who share a chat with a user see when the user is online. */
const PRESENCE = ['VISIBLE', 'INVISIBLE'] as const;
export type PresenceSetting = (typeof PRESENCE)[number];

const profile = newAccount
  .pick({ email: true, firstName: true, lastName: true })
  .extend({ addableBy: oneOf(ADDABLE_BY).optional(), presence: oneOf(PRESENCE).optional() });

export type Profile = Unvalidated<z.input<typeof profile>>;

/**
 * Changes the given fields of the viewer's profile. Links to reset the password are sent to a new email address only if `currentPassword` confirms it: otherwise
 * a stolen credential would suffice to take over the account.
 *
 * @throws {ValidationError} when a value is rejected, or the password is wrong
 * @throws {OverloadedError} after too many wrong passwords, or when too many are being checked
 */
export async function updateViewer(
  context: Context,
  input: Profile,
  currentPassword: string | null = null,
): Promise<User> {
  const values = validate(profile, input);
  const { email } = values;
  if (email === undefined) {
    return context.database.user.update({ where: { id: requireUser(context.viewer).id }, data: values });
  }
  const isConfirmed = currentPassword !== null;
  const user = isConfirmed ? await confirmPassword(context, currentPassword) : await viewerRow(context);
  return context.database.$transaction(async (transaction) => {
    await lockUnchanged(transaction, user);
    if (email !== user.email) {
      const details = isConfirmed ? 'confirmed by the password' : 'not confirmed by the password';
      await recordAct(transaction, { actor: actorOf(context), action: 'EMAIL_CHANGED', subject: user, details });
    }
    const data = { ...values, ...(isConfirmed && { resetEmail: email }) };
    return transaction.user.update({ where: { id: user.id }, data });
  });
}
