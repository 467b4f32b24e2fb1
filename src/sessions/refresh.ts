import { recordAct } from '../audit/service.ts';
import type { Caller, Services } from '../context.ts';
import type { Database } from '../database/client.ts';
import { findRow } from '../database/rows.ts';
import { CredentialsError } from '../errors.ts';
import type { Prisma, Session, RefreshToken as StoredRefreshToken, User } from '../generated/client/client.ts';
import { digest, newRefreshToken, sidOfRefreshToken, type TokenPair } from '../identity/tokens.ts';
import { hasReachedMaxAge } from './session-life.ts';
import { type IssuedRefreshToken, tokenPairOf } from './sessions.ts';

/** How long after its first use a refresh token may be used again, in milliseconds. */
const REUSE_INTERVAL_MS = 30_000;

/** How long a used or expired refresh token stays stored, in milliseconds: longer than the clocks of the nodes differ. Later, its signature identifies the session. */
const USED_TOKEN_LIFE_MS = 10 * 60 * 1000;

const REFUSED_REFRESH = 'The refresh token is not valid.';

/**
 * Returns a new pair of tokens for a refresh token. The refresh token may be used again within 30 seconds, by another tab of the browser or by a client that did
 * not receive the answer. A later use ends the whole session, as RFC 9700, section 4.14, recommends, since two parties have the token.
 *
 * @throws {CredentialsError} when the token is unknown, was used or has expired, when its user is inactive, or when its session has reached its longest duration
 */
export async function renewSession(services: Caller, refreshToken: string): Promise<TokenPair> {
  const { database, tokens } = services;
  const hash = digest(refreshToken);
  const now = new Date();
  const known = await findRow(database, 'RefreshToken', { hash });
  const session = known
    ? await findRow(database, 'Session', { id: known.sessionId })
    : await sessionOfRemovedToken(services, refreshToken);
  const user = session && (await findRow(database, 'User', { id: session.userId }));
  if (!session || !user?.isActive || (known && known.expiresAt <= now) || hasReachedMaxAge(tokens, session, now)) {
    throw new CredentialsError(REFUSED_REFRESH);
  }
  const next = newRefreshToken(tokens, { sid: session.sid, signedInAt: session.createdAt }, now);
  if (!(known && (await replaceRefreshToken(database, known, next, now)))) {
    await endReusedSession(services, session, user);
    throw new CredentialsError(REFUSED_REFRESH);
  }
  return tokenPairOf(tokens, user, session, next, now);
}

/** Returns the session of a refresh token whose hash is no longer stored, since it was used long ago. */
async function sessionOfRemovedToken(
  { database, tokens }: Services,
  refreshToken: string,
): Promise<Session | undefined> {
  const sid = sidOfRefreshToken(tokens, refreshToken);
  return sid === null ? undefined : findRow(database, 'Session', { sid });
}

/** Ends a session after the reuse of one of its refresh tokens, and records that. */
async function endReusedSession(
  { database, identities, source = 'GRAPHQL' }: Caller,
  { id }: Session,
  user: User,
): Promise<void> {
  identities.suspend(user.id);
  await database.$transaction(async (transaction) => {
    const { count } = await transaction.session.deleteMany({ where: { id } });
    if (count > 0) {
      const actor = { id: null, name: '', source };
      await recordAct(transaction, { actor, action: 'REFRESH_TOKEN_REUSED', subject: user });
    }
  });
}

/**
 * Marks a refresh token as used and stores the next one of its session, in one transaction, so that a client can try again after any failure. Returns false
 * when the session has ended, or the token may no longer be reused.
 */
function replaceRefreshToken(
  database: Database,
  { hash, sessionId }: StoredRefreshToken,
  { token, expiresAt }: IssuedRefreshToken,
  now: Date,
): Promise<boolean> {
  const longAgo = new Date(now.getTime() - USED_TOKEN_LIFE_MS);
  return database.$transaction(async (transaction) => {
    // The session is written first: a concurrent end of the session waits for this row, or this waits for that and then finds no session.
    const { count } = await transaction.session.updateMany({
      where: { id: sessionId },
      data: { expiresAt, lastUsedAt: now },
    });
    if (count === 0 || !(await useRefreshToken(transaction, hash, now))) {
      return false;
    }
    await transaction.refreshToken.deleteMany({
      where: { sessionId, OR: [{ usedAt: { lt: longAgo } }, { expiresAt: { lt: longAgo } }] },
    });
    await transaction.refreshToken.create({ data: { hash: digest(token), sessionId, expiresAt } });
    return true;
  });
}

/** Marks a refresh token as used. Returns false when it may no longer be reused. */
async function useRefreshToken({ refreshToken }: Prisma.TransactionClient, hash: string, now: Date): Promise<boolean> {
  const { count } = await refreshToken.updateMany({ where: { hash, usedAt: null }, data: { usedAt: now } });
  if (count > 0) {
    return true;
  }
  const used = await refreshToken.findUnique({ where: { hash } });
  return used?.usedAt != null && now.getTime() - used.usedAt.getTime() <= REUSE_INTERVAL_MS;
}
