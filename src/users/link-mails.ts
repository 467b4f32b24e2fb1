import type { Context, Services } from '../context.ts';
import { AppError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { limitRecipient } from '../identity/write-limits.ts';
import type { Mailer } from '../mail/mailer.ts';
import { createLink, lifeOfLinks } from './links.ts';

/**
 * Returns the mailer of the server.
 *
 * @throws {AppError} `BAD_INPUT` when the server is not configured to send mail
 */
export function requireMailer({ recovery }: Services): Mailer {
  if (!recovery.mailer) {
    throw new AppError('BAD_INPUT', 'This server is not configured to send mail. Contact its operator.');
  }
  return recovery.mailer;
}

/** Returns whether a mail for this purpose may be sent to an address: not to an empty one, and not after too many such mails. It counts the mail. */
export async function reserveMail(context: Context, purpose: string, email: string): Promise<boolean> {
  return email !== '' && (await limitRecipient(context, purpose, email));
}

/** Returns the mail with a link to set a new password. */
export function resetMail(services: Services, user: User) {
  const { url } = createLink(services, 'resetPassword', user);
  return {
    to: user.resetEmail,
    subject: 'Set a new password',
    text: `Hello ${user.username},

somebody asked for a new password of your account. To set one, open this link within ${lifeOfLinks(services, 'resetPassword')}:

${url}

It can be used once, and ends all sessions of the account. If you did not ask for it, do nothing: your password stays.
`,
  };
}

/** Returns the mail with a link that verifies the email address of a user. */
export function verificationMail(services: Services, user: User) {
  const { url } = createLink(services, 'verifyEmail', user);
  return {
    to: user.email,
    subject: 'Confirm your email address',
    text: `Hello ${user.username},

this is the email address of your account. To confirm it, open this link within ${lifeOfLinks(services, 'verifyEmail')}:

${url}

If you have no such account, do nothing.
`,
  };
}
