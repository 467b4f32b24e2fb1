import type { Context } from '../context.ts';
import type { Transaction } from '../database/client.ts';
import { type OrderColumns, type Page, type PageArguments, readPage } from '../database/page.ts';
import { AppError, NotFoundError, UnauthenticatedError } from '../errors.ts';
import type { AuthToken, Session } from '../generated/client/client.ts';
import { clearCookie } from '../identity/cookies.ts';
import { requireUser } from '../identity/rights.ts';
import { endOfSession } from '../identity/tokens.ts';
import { lockUser, viewerRow } from '../identity/viewer-row.ts';
import { requireId } from '../validation.ts';
import { activeSessions } from './session-life.ts';

const ORDERS = { id: 'number' } as const satisfies OrderColumns;
const NEWEST_FIRST = { column: 'id', direction: 'desc' } as const;

/** Returns one page of the viewer's active sessions, the newest first. */
export function listSessions(context: Context, page: PageArguments): Promise<Page<Session>> {
  const { viewer, tokens } = context;
  const where = { userId: requireUser(viewer).id, ...activeSessions(tokens, new Date()) };
  return readPage(context, { model: 'Session', where, columns: ORDERS }, page, NEWEST_FIRST);
}

/** Returns one page of the viewer's API keys, the newest first. */
export function listAuthTokens(context: Context, page: PageArguments): Promise<Page<AuthToken>> {
  const where = { userId: requireUser(context.viewer).id };
  return readPage(context, { model: 'AuthToken', where, columns: ORDERS }, page, NEWEST_FIRST);
}

/** Returns when a session expires unless it is refreshed or used before. */
export function expiryOf({ tokens }: Context, { createdAt, expiresAt }: Session): Date {
  const end = endOfSession(tokens, createdAt);
  return end < expiresAt ? end : expiresAt;
}

/** Returns whether the request was authenticated by the cookie or an access token of this session. */
export function isCurrentSession({ viewer }: Context, { id }: Session): boolean {
  return viewer.kind === 'user' && viewer.credential.kind === 'session' && viewer.credential.id === id;
}

/** Returns whether the request was authenticated by this API key. */
export function isCurrentKey({ viewer }: Context, { id }: AuthToken): boolean {
  return viewer.kind === 'user' && viewer.credential.kind === 'key' && viewer.credential.id === id;
}

/**
 * Ends a session of the viewer, which may be the one of this request, and returns it as it was.
 *
 * @throws {NotFoundError} when the viewer has no such session
 * @throws {UnauthenticatedError} when the credential of the request has ended since it was verified
 */
export async function endSession(context: Context, id: string | number): Promise<Session> {
  const own = { id: requireId(id), userId: requireUser(context.viewer).id };
  const ended = await endInTransaction(context, async ({ session }) => {
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
 * Ends all sessions of the viewer except the one of this request; all of them, when it was authenticated by an API key. Returns their number.
 *
 * @throws {UnauthenticatedError} when the credential of the request has ended since it was verified
 */
export function endOtherSessions(context: Context): Promise<number> {
  const { id: userId, credential } = requireUser(context.viewer);
  const current = credential.kind === 'session' ? credential.id : null;
  return endInTransaction(context, async ({ session }) => {
    const { count } = await session.deleteMany({
      where: { userId, ...(current !== null && { id: { not: current } }) },
    });
    return count;
  });
}

/**
 * Ends an API key of the viewer, which may be the one of this request, and returns it as it was.
 *
 * @throws {NotFoundError} when the viewer has no such key
 * @throws {UnauthenticatedError} when the credential of the request has ended since it was verified
 */
export function endAuthToken(context: Context, id: string | number): Promise<AuthToken> {
  const own = { id: requireId(id), userId: requireUser(context.viewer).id };
  return endInTransaction(context, async ({ authToken }) => {
    const ended = await authToken.findFirst({ where: own });
    if (!ended) {
      throw new NotFoundError();
    }
    await authToken.deleteMany({ where: own });
    return ended;
  });
}

/** The credential of an open connection after it was replaced. */
export interface ConnectionRenewal {
  /** When the connection is closed unless the credential is replaced again; null for an API key, which does not expire. */
  readonly expiresAt: Date | null;
  readonly userId: number;
}

/**
 * Replaces the credential of the open connection of the caller; its subscriptions continue.
 *
 * @throws {CredentialsError} when the token is invalid or belongs to another user
 * @throws {AppError} `BAD_INPUT` when the request was not sent over a WebSocket
 */
export async function renewConnection({ viewer, connection }: Context, token: string): Promise<ConnectionRenewal> {
  requireUser(viewer);
  if (!connection?.renew) {
    throw new AppError('BAD_INPUT', 'renewConnection works only over a WebSocket.');
  }
  const { id: userId, credential } = await connection.renew(token);
  return { userId, expiresAt: credential.kind === 'session' ? credential.expiresAt : null };
}

/** Ends the credential of the request, and clears the cookie if it is one. */
export async function destroyCredential(context: Context): Promise<void> {
  await endCredential(context);
  clearCookie(context);
}

/** Ends the credential of the request: an API key, or the session of a cookie or an access token. */
async function endCredential({ database, viewer, identities }: Context): Promise<void> {
  const { id, credential } = requireUser(viewer);
  identities.suspend(id);
  if (credential.kind === 'key') {
    await database.authToken.deleteMany({ where: { id: credential.id } });
  } else if (credential.id !== null) {
    await database.session.deleteMany({ where: { id: credential.id } });
  }
}

/**
 * Ends credentials of the viewer in a transaction. The transactions for one user run one after the other: when two sessions end each other concurrently, the
 * second one no longer has the right.
 *
 * @throws {UnauthenticatedError} when the credential of the request has ended since it was verified
 */
async function endInTransaction<Ended>(
  context: Context,
  end: (transaction: Transaction) => Promise<Ended>,
): Promise<Ended> {
  const user = await viewerRow(context);
  context.identities.suspend(user.id);
  return context.database.$transaction(async (transaction) => {
    if (!(await lockUser(transaction, user)) || !(await isCredentialStored(transaction, context))) {
      throw new UnauthenticatedError();
    }
    return end(transaction);
  });
}

/** Returns whether the credential of the request is still stored; true for an access token that another program signed, which is never stored. */
async function isCredentialStored({ session, authToken }: Transaction, { viewer }: Context): Promise<boolean> {
  const { credential } = requireUser(viewer);
  if (credential.id === null) {
    return true;
  }
  const where = { id: credential.id };
  return (await (credential.kind === 'key' ? authToken.count({ where }) : session.count({ where }))) > 0;
}
