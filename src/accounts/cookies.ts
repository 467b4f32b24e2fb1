import { randomBytes } from 'node:crypto';
import type { Context, NewCookie, Services, TokenSettings } from '../context.ts';
import { findRow } from '../database/rows.ts';
import { UnauthenticatedError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import type { Viewer } from '../viewer.ts';
import { DEACTIVATED } from './fault-sentences.ts';
import { digest, endOfSession } from './tokens.ts';

const VALUE_BYTES = 32;
const VALUE = /^[\w-]{43}$/;
/** How old the record of a session's last use becomes before another use renews it, in milliseconds. */
const USE_INTERVAL_MS = 5 * 60_000;
/** How often a session that is in use is renewed at the least within the time that it lasts unused. */
const MIN_RENEWALS = 10;
const ENDED = 'The session has ended. Sign in again.';

type Lives = Pick<TokenSettings, 'refreshTokenLifeS' | 'sessionLifeS'>;

/** Makes the cookie of a new session, and the hash by which the session is found. The browser keeps it as long as a session may last; unused, the session ends earlier. */
export function newCookie(lives: Lives, signedInAt: Date): NewCookie & { readonly hash: string } {
  const value = randomBytes(VALUE_BYTES).toString('base64url');
  return { value, hash: digest(value), expiresAt: endOfSession(lives, signedInAt) };
}

/** When a session that is used at this moment ends unless it is used again: after the life of a refresh token, and with the sign-in at the latest. */
export function endOfUnused(lives: Lives, signedInAt: Date, now: Date): Date {
  const end = endOfSession(lives, signedInAt).getTime();
  return new Date(Math.min(now.getTime() + lives.refreshTokenLifeS * 1000, end));
}

/** How often the use of a session is recorded, in milliseconds. */
export function useIntervalMs({ refreshTokenLifeS }: Lives): number {
  return Math.min(USE_INTERVAL_MS, (refreshTokenLifeS * 1000) / MIN_RENEWALS);
}

/** A user together with the session of their cookie. */
export interface CookieProof {
  readonly user: User;
  readonly sessionId: number;
  /** When the session ends unless it is used again. */
  readonly expiresAt: Date;
}

/**
 * Checks a session cookie against the users and sessions of the present moment, and records that the session is in use.
 *
 * @throws {UnauthenticatedError} when there is no such session, it has ended, or the account is closed
 */
export async function proveCookie({ database, tokens }: Services, value: string): Promise<CookieProof> {
  const session = VALUE.test(value) ? await findRow(database, 'Session', { cookieHash: digest(value) }) : undefined;
  const user = session && (await findRow(database, 'User', { id: session.userId }));
  const now = new Date();
  if (!session || !user || session.expiresAt <= now || endOfSession(tokens, session.createdAt) <= now) {
    throw new UnauthenticatedError(ENDED);
  }
  if (!user.isActive) {
    throw new UnauthenticatedError('User account is disabled.', DEACTIVATED);
  }
  const { id, createdAt, lastUsedAt } = session;
  if (lastUsedAt.getTime() > now.getTime() - useIntervalMs(tokens)) {
    return { user, sessionId: id, expiresAt: session.expiresAt };
  }
  const expiresAt = endOfUnused(tokens, createdAt, now);
  const { count } = await database.session.updateMany({ where: { id }, data: { lastUsedAt: now, expiresAt } });
  if (count === 0) {
    throw new UnauthenticatedError(ENDED);
  }
  return { user, sessionId: id, expiresAt };
}

/** Whether a request was authenticated by a cookie. */
export function isByCookie(viewer: Viewer): boolean {
  return viewer.kind === 'user' && viewer.credential.kind === 'session' && viewer.credential.byCookie;
}

/** Clears the cookie that authenticated a request, once its session has ended. */
export function clearCookie({ viewer, cookie }: Context): void {
  if (isByCookie(viewer)) {
    cookie?.write?.(null);
  }
}
