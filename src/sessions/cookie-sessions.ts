import type { Context } from '../context.ts';
import { findRow } from '../database/rows.ts';
import { AppError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { idleExpiryOf, isByCookie, newCookie } from '../identity/cookies.ts';
import { digest, newSid } from '../identity/tokens.ts';
import { destroyCredential } from './own-credentials.ts';
import { createSession } from './sessions.ts';
import { type Login, signIn } from './sign-in.ts';

/**
 * Signs a browser in with a new session, whose cookie the answer sets. The session of a cookie in the request is ended, since the new cookie replaces it.
 *
 * @throws {CredentialsError} when username and password are not those of an active user
 * @throws {OverloadedError} after too many wrong passwords, or when too many are being checked
 * @throws {AppError} `BAD_INPUT` on a transport without cookies, `FORBIDDEN` for a request from a page of another origin
 */
export async function signInBrowser(context: Context, login: Login): Promise<User> {
  const write = cookieWriter(context);
  const user = await signIn(context, login);
  const now = new Date();
  const { hash, ...cookie } = newCookie(context.tokens, now);
  await createSession(context, user, {
    sid: newSid(),
    createdAt: now,
    expiresAt: idleExpiryOf(context.tokens, now, now),
    cookieHash: hash,
  });
  await endSessionOfCookie(context);
  write(cookie);
  return user;
}

/**
 * Signs out: ends the credential of the request, if it was valid, and clears the cookie, also that of a session that has ended.
 *
 * @throws {AppError} `BAD_INPUT` on a transport without cookies, `FORBIDDEN` for a request from a page of another origin
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

/** Ends the session of the cookie of the request, even if the request is authenticated by another credential. */
async function endSessionOfCookie({ database, identities, cookie }: Context): Promise<void> {
  const value = cookie?.value;
  const session = value === undefined ? undefined : await findRow(database, 'Session', { cookieHash: digest(value) });
  if (session) {
    identities.suspend(session.userId);
    await database.session.deleteMany({ where: { id: session.id } });
  }
}

/**
 * Returns the function that sets and clears the cookie.
 *
 * @throws {AppError} `BAD_INPUT` on a transport without cookies, `FORBIDDEN` for a request from a page of another origin
 */
function cookieWriter({ cookie }: Context): NonNullable<NonNullable<Context['cookie']>['write']> {
  if (!cookie?.write) {
    throw new AppError(
      'BAD_INPUT',
      'Cookies can be set and cleared only by an HTTP POST, not over a WebSocket or an event stream.',
    );
  }
  if (cookie.refusal) {
    throw cookie.refusal;
  }
  return cookie.write;
}
