import type { Context, Services } from '../context.ts';
import type { AnswerBudget } from '../database/answer-budget.ts';
import { reserve } from '../database/counters.ts';
import { findRow } from '../database/rows.ts';
import { AppError, CredentialsError, ValidationError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import type { Mailer } from '../mail/mailer.ts';
import { replacePassword } from './account-status.ts';
import { isLinkOf, type LinkPurpose, signLink, userIdOfLink } from './link-tokens.ts';
import { prepareNewPassword, viewerRow } from './service.ts';
import { type Caller, lockUser } from './sessions.ts';
import { usernameKey } from './usernames.ts';
import { limitMailRequest, recipientLimit } from './write-limits.ts';

/** What links for one purpose look like. */
export interface LinkSettings {
  /** The page that takes the token, which is appended as the fragment `#token=…`: no log and no `Referer` header has it. */
  readonly page: string;
  readonly lifeS: number;
}

/** How users get back to an account, and show that an email address is theirs. */
export interface RecoverySettings {
  /** Sends the links; null where mails are not configured. */
  readonly mailer: Mailer | null;
  readonly links: Readonly<Record<LinkPurpose, LinkSettings>>;
}

const NO_MAILS = 'This server sends no mails. Ask its operator.';
const ENDED_LINK = 'The link is not valid, or no longer. Ask for a new one.';
const HOUR_S = 3600;

/**
 * Sends the user of this name a link to set a new password, if there is an active one with an email address. Neither the answer nor its time says whether
 * there is.
 *
 * @throws {AppError} `BAD_INPUT` when the server sends no mails, or the operation asks for a second one
 * @throws {OverloadedError} after too many requests for this name from this address, or for any name, within an hour
 */
export async function requestPasswordReset(context: Context, username: string): Promise<void> {
  const mailer = mailerOf(context);
  expectOnce(context);
  const key = usernameKey(username);
  await limitMailRequest(context, key);
  mailer.post(async () => {
    const user = await findRow(context.database, 'User', { usernameKey: key });
    return user?.isActive && (await mayReceive(context, 'reset', user.resetEmail)) ? resetMail(context, user) : null;
  });
}

/**
 * Sends the viewer a link that shows that their email address is theirs.
 *
 * @throws {AppError} `BAD_INPUT` when the server sends no mails
 * @throws {ValidationError} when the viewer has no email address
 * @throws {OverloadedError} after too many requests of this user, or from this address, within an hour
 */
export async function requestEmailVerification(context: Context): Promise<void> {
  const mailer = mailerOf(context);
  const user = await viewerRow(context);
  if (user.email === '') {
    throw new ValidationError([{ path: 'email', message: 'The account has no email address.' }]);
  }
  await limitMailRequest(context, user.id);
  mailer.post(async () =>
    (await mayReceive(context, 'verification', user.email)) ? verificationMail(context, user) : null,
  );
}

/** A link to set a new password with, for who can prove to the operator who they are. It ends with its use, or after some time. */
export function resetLink(services: Services, user: User): { url: string; expiresAt: Date } {
  return linkFor(services, 'resetPassword', user);
}

/** A link that was checked, and the hash of the password to be set. */
export interface PreparedReset {
  readonly user: User;
  readonly passwordHash: string;
}

/**
 * Checks the token of a link and the new password.
 *
 * @throws {CredentialsError} when the link was used, is over, or was never sent
 * @throws {ValidationError} when the password is refused
 * @throws {OverloadedError} when too many passwords are being checked
 */
export async function prepareReset(services: Services, token: string, newPassword: string): Promise<PreparedReset> {
  const user = await userOfLink(services, 'resetPassword', token);
  return { user, passwordHash: await prepareNewPassword(newPassword, user) };
}

/**
 * Sets the password of who followed a link, and ends every credential that was issued before.
 *
 * @throws {CredentialsError} when the link was used meanwhile
 */
export async function resetPassword(
  { database, identities, source = 'GRAPHQL' }: Caller,
  { user, passwordHash }: PreparedReset,
): Promise<User> {
  identities.suspend(user.id);
  const actor = { id: user.id, name: user.username, source };
  return database.$transaction(async (transaction) => {
    if (!(await lockUser(transaction, user))) {
      throw new CredentialsError(ENDED_LINK);
    }
    return replacePassword(transaction, { actor, action: 'PASSWORD_RESET' }, user, passwordHash);
  });
}

/**
 * Notes that the user of a link receives mail at the address that it was sent to.
 *
 * @throws {CredentialsError} when the link is over, was never sent, or the address has changed since
 */
export async function verifyEmail(services: Services, token: string): Promise<User> {
  const user = await userOfLink(services, 'verifyEmail', token);
  const { email } = user;
  const { count } = await services.database.user.updateMany({
    where: { id: user.id, email },
    data: { verifiedEmail: email },
  });
  if (count === 0) {
    throw new CredentialsError(ENDED_LINK);
  }
  return { ...user, verifiedEmail: email };
}

/** Whether somebody has shown that the email address of an account is theirs. */
export function hasVerifiedEmail({ email, verifiedEmail }: User): boolean {
  return email !== '' && email === verifiedEmail;
}

async function userOfLink({ database, tokens }: Services, purpose: LinkPurpose, token: string): Promise<User> {
  const id = userIdOfLink(token, new Date());
  const user = id === null ? undefined : await findRow(database, 'User', { id });
  if (!user?.isActive || !isLinkOf(tokens.secret, purpose, user, token)) {
    throw new CredentialsError(ENDED_LINK);
  }
  return user;
}

function linkFor({ tokens, recovery }: Services, purpose: LinkPurpose, user: User): { url: string; expiresAt: Date } {
  const { page, lifeS } = recovery.links[purpose];
  const expiresAt = new Date(Date.now() + lifeS * 1000);
  return { url: `${page}#token=${signLink(tokens.secret, purpose, user, expiresAt)}`, expiresAt };
}

function mailerOf({ recovery }: Services): Mailer {
  if (!recovery.mailer) {
    throw new AppError('BAD_INPUT', NO_MAILS);
  }
  return recovery.mailer;
}

/** The operations that have asked for a mail, by what bounds their answers. */
const asking = new WeakSet<AnswerBudget>();

/** Of many requests in one operation, the time of its answer would say what each of them set going. */
function expectOnce({ answer }: Context): void {
  if (asking.has(answer)) {
    throw new AppError('BAD_INPUT', 'An operation asks for one mail at the most.');
  }
  asking.add(answer);
}

/** Whether an address is one, and did not get too many mails for this purpose lately; counts one more. */
async function mayReceive(context: Context, purpose: string, email: string): Promise<boolean> {
  return (
    email !== '' && (await reserve(context.database, recipientLimit(context, purpose, email), new Date())) !== null
  );
}

function resetMail(services: Services, user: User) {
  const { url } = resetLink(services, user);
  return {
    to: user.resetEmail,
    subject: 'Set a new password',
    text: `Hello ${user.username},

somebody asked for a new password of your account. To set one, open this link within ${hours(services, 'resetPassword')}:

${url}

It can be used once, and ends all sessions of the account. If you did not ask for it, do nothing: your password stays.
`,
  };
}

function verificationMail(services: Services, user: User) {
  const { url } = linkFor(services, 'verifyEmail', user);
  return {
    to: user.email,
    subject: 'Confirm your email address',
    text: `Hello ${user.username},

this is the email address of your account. To confirm it, open this link within ${hours(services, 'verifyEmail')}:

${url}

If you have no such account, do nothing.
`,
  };
}

function hours({ recovery }: Services, purpose: LinkPurpose): string {
  const { lifeS } = recovery.links[purpose];
  return lifeS < 2 * HOUR_S ? `${Math.max(1, Math.floor(lifeS / 60))} minutes` : `${Math.floor(lifeS / HOUR_S)} hours`;
}
