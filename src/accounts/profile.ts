import type { z } from 'zod';
import type { Context } from '../context.ts';
import type { User } from '../generated/client/client.ts';
import { oneOf, type Unchecked, validate } from '../validation.ts';
import { actorOf, recordAct } from './audit.ts';
import { signedIn } from './policy.ts';
import { confirmPassword, expectUnchanged, newAccount, viewerRow } from './service.ts';

/** Who may add a user to a chat: everybody, or only people with whom the user shares one. */
const ADDABLE_BY = ['EVERYBODY', 'CONTACTS'] as const;
export type AddableBy = (typeof ADDABLE_BY)[number];

const profile = newAccount
  .pick({ email: true, firstName: true, lastName: true })
  .extend({ addableBy: oneOf(ADDABLE_BY).optional() });

export type Profile = Unchecked<z.input<typeof profile>>;

/**
 * Changes the profile of the viewer, and who may add them to chats; fields that are left out stay. Links to reset the password go to a new email address
 * only where `currentPassword` confirms it: or whoever got hold of a credential could make the whole account theirs.
 *
 * @throws {ValidationError} when a value is refused, or the password is not the viewer's
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
    return context.database.user.update({ where: { id: signedIn(context.viewer).id }, data: values });
  }
  const isConfirmed = currentPassword !== null;
  const user = isConfirmed ? await confirmPassword(context, currentPassword) : await viewerRow(context);
  return context.database.$transaction(async (transaction) => {
    await expectUnchanged(transaction, user);
    if (email !== user.email) {
      const details = isConfirmed ? 'confirmed by the password' : 'not confirmed by the password';
      await recordAct(transaction, { actor: actorOf(context), action: 'EMAIL_CHANGED', subject: user, details });
    }
    const data = { ...values, ...(isConfirmed && { resetEmail: email }) };
    return transaction.user.update({ where: { id: user.id }, data });
  });
}
