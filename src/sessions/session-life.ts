import type { TokenSettings } from '../context.ts';
import { removeInBatches } from '../database/cleanup.ts';
import type { Database } from '../database/client.ts';
import type { Session } from '../generated/client/client.ts';

export type SessionLives = Pick<TokenSettings, 'accessTokenLifeS' | 'sessionLifeS'>;

/** Returns the latest times of creation and of expiry with which a session has expired. */
function expiryBounds(
  { accessTokenLifeS, sessionLifeS }: SessionLives,
  now: Date,
): { createdAt: Date; expiresAt: Date } {
  return {
    createdAt: new Date(now.getTime() - sessionLifeS * 1000),
    expiresAt: new Date(now.getTime() - accessTokenLifeS * 1000),
  };
}

/** Returns whether a session has reached its longest duration. */
export function hasReachedMaxAge(tokens: SessionLives, { createdAt }: Session, now: Date): boolean {
  return createdAt <= expiryBounds(tokens, now).createdAt;
}

/** Returns the condition of the sessions that can no longer be renewed, and whose last access token has expired, too. */
export function expiredSessions(tokens: SessionLives, now: Date) {
  const { createdAt, expiresAt } = expiryBounds(tokens, now);
  return { OR: [{ createdAt: { lte: createdAt } }, { expiresAt: { lte: expiresAt } }] };
}

/** Returns the condition of all other sessions. */
export function activeSessions(tokens: SessionLives, now: Date) {
  const { createdAt, expiresAt } = expiryBounds(tokens, now);
  return { createdAt: { gt: createdAt }, expiresAt: { gt: expiresAt } };
}

/** Removes the expired sessions. */
export async function removeExpiredSessions(
  { session }: Database,
  lives: SessionLives,
  stopping: AbortSignal,
): Promise<void> {
  const where = expiredSessions(lives, new Date());
  await removeInBatches(
    {
      find: async (take) => (await session.findMany({ where, take, select: { id: true } })).map(({ id }) => id),
      remove: (ids) => session.deleteMany({ where: { id: { in: ids } } }),
    },
    stopping,
  );
}
