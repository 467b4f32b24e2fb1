import type { Context } from '../context.ts';
import { AppError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { endOfUnused, isByCookie, newCookie } from './cookies.ts';
import { destroyCredential, endCredential } from './own-credentials.ts';
import { type Login, signIn } from './service.ts';
import { createSession } from './sessions.ts';
import { newSid } from './tokens.ts';

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
  write(cookie);
  if (isByCookie(context.viewer)) {
    await endCredential(context);
  }
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
  if (viewer.kind === 'user') {
    await destroyCredential(context);
  } else if (cookie?.value !== undefined) {
    write(null);
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
