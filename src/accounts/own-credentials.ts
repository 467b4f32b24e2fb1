import type { Context } from '../context.ts';
import { type OrderColumns, type Page, type PageArguments, readPage } from '../database/page.ts';
import type { Transaction } from '../database/transactions.ts';
import { AppError, NotFoundError, UnauthenticatedError } from '../errors.ts';
import type { AuthToken, Session } from '../generated/client/client.ts';
import { existingId } from '../validation.ts';
import { clearCookie } from './cookies.ts';
import { signedIn } from './policy.ts';
import { viewerRow } from './service.ts';
import { lockUser, runningSessions } from './sessions.ts';
import { endOfSession } from './tokens.ts';

const ORDERS = { id: 'number' } as const satisfies OrderColumns;
const NEWEST_FIRST = { column: 'id', direction: 'desc' } as const;

/** One page of the viewer's sessions that are not over, the newest first. */
export function listSessions(context: Context, page: PageArguments): Promise<Page<Session>> {
  const { viewer, tokens } = context;
  const where = { userId: signedIn(viewer).id, ...runningSessions(tokens, new Date()) };
  return readPage(context, { model: 'Session', where, columns: ORDERS }, page, NEWEST_FIRST);
}

/** One page of the viewer's keys, the newest first. */
export function listAuthTokens(context: Context, page: PageArguments): Promise<Page<AuthToken>> {
  const where = { userId: signedIn(context.viewer).id };
  return readPage(context, { model: 'AuthToken', where, columns: ORDERS }, page, NEWEST_FIRST);
}

/** When a session ends unless it is refreshed or used before. */
export function expiryOf({ tokens }: Context, { createdAt, expiresAt }: Session): Date {
  const end = endOfSession(tokens, createdAt);
  return end < expiresAt ? end : expiresAt;
}

/** Whether the request came with the cookie or an access token of this session. */
export function isCurrentSession({ viewer }: Context, { id }: Session): boolean {
  return viewer.kind === 'user' && viewer.credential.kind === 'session' && viewer.credential.id === id;
}

/** Whether the request came with this key. */
export function isCurrentKey({ viewer }: Context, { id }: AuthToken): boolean {
  return viewer.kind === 'user' && viewer.credential.kind === 'key' && viewer.credential.id === id;
}

/**
 * Ends a session of the viewer, which may be the one of this request, and gives what it was.
 *
 * @throws {NotFoundError} when the viewer has no such session
 * @throws {UnauthenticatedError} when the credential of the request was ended meanwhile
 */
export async function endSession(context: Context, id: string | number): Promise<Session> {
  const own = { id: existingId(id), userId: signedIn(context.viewer).id };
  const ended = await ending(context, async ({ session }) => {
    const found = await session.findFirst({ where: own });
    if (!found) {
      throw new NotFoundError();
    }
    await session.deleteMany({ where: own });
    return found;
  });
  if (isCurrentSession(context, ended)) {
    clearCookie(context);
  }
  return ended;
}

/**
 * Ends all sessions of the viewer but the one of this request; all, when it came with a key. Returns how many.
 *
 * @throws {UnauthenticatedError} when the credential of the request was ended meanwhile
 */
export function endOtherSessions(context: Context): Promise<number> {
  const { id: userId, credential } = signedIn(context.viewer);
  const current = credential.kind === 'session' ? credential.id : null;
  return ending(context, async ({ session }) => {
    const { count } = await session.deleteMany({
      where: { userId, ...(current !== null && { id: { not: current } }) },
    });
    return count;
  });
}

/**
 * Ends a key of the viewer, which may be the one of this request, and gives what it was.
 *
 * @throws {NotFoundError} when the viewer has no such key
 * @throws {UnauthenticatedError} when the credential of the request was ended meanwhile
 */
export function endAuthToken(context: Context, id: string | number): Promise<AuthToken> {
  const own = { id: existingId(id), userId: signedIn(context.viewer).id };
  return ending(context, async ({ authToken }) => {
    const ended = await authToken.findFirst({ where: own });
    if (!ended) {
      throw new NotFoundError();
    }
    await authToken.deleteMany({ where: own });
    return ended;
  });
}

/** Who an open connection belongs to from now on, and until when. */
export interface RenewedConnection {
  /** When the connection ends unless it is renewed again; null for a key, which does not run out. */
  readonly expiresAt: Date | null;
  readonly userId: number;
}

/**
 * Puts another credential in the place of the one that the caller's connection was opened with: its subscriptions live on.
 *
 * @throws {CredentialsError} when the token is not accepted or is another user's
 * @throws {AppError} `BAD_INPUT` when the request came over no connection that could be renewed
 */
export async function renewConnection({ viewer, connection }: Context, token: string): Promise<RenewedConnection> {
  signedIn(viewer);
  if (!connection?.renew) {
    throw new AppError('BAD_INPUT', 'Only a WebSocket can be renewed.');
  }
  const { id: userId, credential } = await connection.renew(token);
  return { userId, expiresAt: credential.kind === 'session' ? credential.expiresAt : null };
}

/** Ends the credential that the request came with, and clears it where it is a cookie. */
export async function destroyCredential(context: Context): Promise<void> {
  await endCredential(context);
  clearCookie(context);
}

/** Ends the credential that the request came with: an opaque key, or the session of a cookie or an access token with all its tokens. */
export async function endCredential({ database, viewer, identities }: Context): Promise<void> {
  const { id, credential } = signedIn(viewer);
  identities.suspend(id);
  if (credential.kind === 'key') {
    await database.authToken.deleteMany({ where: { id: credential.id } });
  } else if (credential.id !== null) {
    await database.session.deleteMany({ where: { id: credential.id } });
  }
}

/**
 * Ends credentials of the viewer in a transaction, one at a time for each user: of two sessions that end each other at the same moment, the first one stays,
 * and the other one is no longer allowed to.
 */
async function ending<Ended>(context: Context, end: (transaction: Transaction) => Promise<Ended>): Promise<Ended> {
  const user = await viewerRow(context);
  context.identities.suspend(user.id);
  return context.database.$transaction(async (transaction) => {
    if (!(await lockUser(transaction, user)) || !(await isCredentialStored(transaction, context))) {
      throw new UnauthenticatedError();
    }
    return end(transaction);
  });
}

/** Whether the credential of the request was not ended since; true for an access token minted elsewhere, of which nothing is stored. */
async function isCredentialStored({ session, authToken }: Transaction, { viewer }: Context): Promise<boolean> {
  const { credential } = signedIn(viewer);
  if (credential.id === null) {
    return true;
  }
  const where = { id: credential.id };
  return (await (credential.kind === 'key' ? authToken.count({ where }) : session.count({ where }))) > 0;
}
