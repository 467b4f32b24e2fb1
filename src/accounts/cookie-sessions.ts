import type { Context } from '../context.ts';
import { findRow } from '../database/rows.ts';
import { AppError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { endOfUnused, isByCookie, newCookie } from './cookies.ts';
import { destroyCredential } from './own-credentials.ts';
import { type Login, signIn } from './service.ts';
import { createSession } from './sessions.ts';
import { digest, newSid } from './tokens.ts';

/**
 * Signs a browser in: a session of its own, whose cookie the answer sets. The session of a cookie that came with the request is ended, since nobody
 * holds that cookie any more.
 *
 * @throws {CredentialsError} when username and password are not those of an active user
 * @throws {OverloadedError} after too many failures, or when too many passwords are being checked
 * @throws {AppError} `BAD_INPUT` where an answer can set no cookie, `FORBIDDEN` when no page of ours made the request
 */
export async function signInBrowser(context: Context, login: Login): Promise<User> {
  const write = cookieWriter(context);
  const user = await signIn(context, login);
  const now = new Date();
  const { hash, ...cookie } = newCookie(context.tokens, now);
  await createSession(context, user, {
    sid: newSid(),
    createdAt: now,
    expiresAt: endOfUnused(context.tokens, now, now),
    cookieHash: hash,
  });
  await endSessionOfCookie(context);
  write(cookie);
  return user;
}

/**
 * Signs out: ends the credential of the request, if one was accepted, and clears the cookie. A session that has ended already is signed out.
 *
 * @throws {AppError} `BAD_INPUT` where an answer can clear no cookie, `FORBIDDEN` when no page of ours made the request
 */
export async function signOut(context: Context): Promise<void> {
  const { viewer, cookie } = context;
  if (viewer.kind === 'user' && !isByCookie(viewer)) {
    await destroyCredential(context);
    return;
  }
  const write = cookieWriter(context);
  if (cookie?.value !== undefined) {
    await endSessionOfCookie(context);
    write(null);
  }
}

/** Ends the session of the cookie that the browser has, whoever else the request is authenticated as. */
async function endSessionOfCookie({ database, identities, cookie }: Context): Promise<void> {
  const value = cookie?.value;
  const session = value === undefined ? undefined : await findRow(database, 'Session', { cookieHash: digest(value) });
  if (session) {
    identities.suspend(session.userId);
    await database.session.deleteMany({ where: { id: session.id } });
  }
}

/** The function that sets and clears the cookie. */
function cookieWriter({ cookie }: Context): NonNullable<NonNullable<Context['cookie']>['write']> {
  if (!cookie?.write) {
    throw new AppError(
      'BAD_INPUT',
      'A cookie is set and cleared by an answer to a POST, not on sockets and event streams.',
    );
  }
  if (cookie.refusal) {
    throw cookie.refusal;
  }
  return cookie.write;
}
