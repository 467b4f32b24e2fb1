import { randomBytes } from 'node:crypto';
import type { Context, NewCookie, Services, TokenSettings } from '../context.ts';
import { findRow } from '../database/rows.ts';
import { UnauthenticatedError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import type { Viewer } from '../viewer.ts';
import { ACCOUNT_DEACTIVATED, HEADER_FAULT_SENTENCES } from './fault-sentences.ts';
import { digest, endOfSession } from './tokens.ts';

const VALUE_BYTES = 32;
const VALUE = /^[\w-]{43}$/;
/** How often the use of a session is recorded at most, in milliseconds. */
const USE_INTERVAL_MS = 5 * 60_000;
/** How often the use of a session is recorded at least, within the time after which an unused session expires. */
const MIN_RENEWALS = 10;
const ENDED = 'The session has ended. Sign in again.';

type CookieLives = Pick<TokenSettings, 'refreshTokenLifeS' | 'sessionLifeS'>;

/**
 * Returns the cookie of a new session, and the hash under which the session is stored. The browser stores the cookie for the longest life of a session; a
 * session that is not used expires earlier.
 */
export function newCookie(lives: CookieLives, signedInAt: Date): NewCookie & { readonly hash: string } {
  const value = randomBytes(VALUE_BYTES).toString('base64url');
  return { value, hash: digest(value), expiresAt: endOfSession(lives, signedInAt) };
}

/** Returns when a session that is used now expires unless it is used again: after the life of a refresh token, and at the end of the session at the latest. */
export function idleExpiryOf(lives: CookieLives, signedInAt: Date, now: Date): Date {
  const end = endOfSession(lives, signedInAt).getTime();
  return new Date(Math.min(now.getTime() + lives.refreshTokenLifeS * 1000, end));
}

/** Returns the interval at which the use of a session is recorded, in milliseconds. */
export function useIntervalMs({ refreshTokenLifeS }: CookieLives): number {
  return Math.min(USE_INTERVAL_MS, (refreshTokenLifeS * 1000) / MIN_RENEWALS);
}

/** The user whom a valid session cookie belongs to. */
export interface CookieOwner {
  readonly user: User;
  readonly sessionId: number;
  /** When the session expires unless it is used again. */
  readonly expiresAt: Date;
}

/**
 * Verifies a session cookie by the users and sessions that are stored now, and records that the session is in use.
 *
 * @throws {UnauthenticatedError} when there is no such session, it has expired, or the account is deactivated
 */
export async function verifyCookie({ database, tokens }: Services, value: string): Promise<CookieOwner> {
  const session = VALUE.test(value) ? await findRow(database, 'Session', { cookieHash: digest(value) }) : undefined;
  const user = session && (await findRow(database, 'User', { id: session.userId }));
  const now = new Date();
  if (!session || !user || session.expiresAt <= now || endOfSession(tokens, session.createdAt) <= now) {
    throw new UnauthenticatedError(ENDED);
  }
  if (!user.isActive) {
    throw new UnauthenticatedError(HEADER_FAULT_SENTENCES.inactiveUser, ACCOUNT_DEACTIVATED);
  }
  const { id, createdAt, lastUsedAt } = session;
  if (lastUsedAt.getTime() > now.getTime() - useIntervalMs(tokens)) {
    return { user, sessionId: id, expiresAt: session.expiresAt };
  }
  const expiresAt = idleExpiryOf(tokens, createdAt, now);
  const { count } = await database.session.updateMany({ where: { id }, data: { lastUsedAt: now, expiresAt } });
  if (count === 0) {
    throw new UnauthenticatedError(ENDED);
  }
  return { user, sessionId: id, expiresAt };
}

/** Returns whether a request was authenticated by a cookie. */
export function isByCookie(viewer: Viewer): boolean {
  return viewer.kind === 'user' && viewer.credential.kind === 'session' && viewer.credential.byCookie;
}

/** Clears the cookie that authenticated the request. Call it after the session has ended. */
export function clearCookie({ viewer, cookie }: Context): void {
  if (isByCookie(viewer)) {
    cookie?.write?.(null);
  }
}
