import type { Context, Services } from '../context.ts';
import { ValidationError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { viewerRow } from '../identity/viewer-row.ts';
import { limitMailRequest } from '../identity/write-limits.ts';
import { requireMailer, reserveMail, verificationMail } from './link-mails.ts';
import { invalidLink, userOfLink } from './links.ts';

/**
 * Sends the viewer a link that verifies their email address.
 *
 * @throws {AppError} `BAD_INPUT` when the server is not configured to send mail
 * @throws {ValidationError} when the viewer has no email address
 * @throws {OverloadedError} after too many requests by this user, or from this address, within an hour
 */
export async function requestEmailVerification(context: Context): Promise<void> {
  const mailer = requireMailer(context);
  const user = await viewerRow(context);
  if (user.email === '') {
    throw new ValidationError([{ path: 'email', message: 'The account has no email address.' }]);
  }
  await limitMailRequest(context, user.id);
  mailer.enqueue(async () =>
    (await reserveMail(context, 'verification', user.email)) ? verificationMail(context, user) : null,
  );
}

/**
 * Records that the user of a link receives mail at the address to which the link was sent.
 *
 * @throws {CredentialsError} when the link has expired or was never sent, or when the address changed since
 */
export async function verifyEmail(services: Services, token: string): Promise<User> {
  const user = await userOfLink(services, 'verifyEmail', token);
  const { email } = user;
  const { count } = await services.database.user.updateMany({
    where: { id: user.id, email },
    data: { verifiedEmail: email },
  });
  if (count === 0) {
    throw invalidLink();
  }
  return { ...user, verifiedEmail: email };
}

/** Returns whether the email address of a user is verified. */
export function hasVerifiedEmail({ email, verifiedEmail }: User): boolean {
  return email !== '' && email === verifiedEmail;
}
