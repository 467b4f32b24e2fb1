import type { Services } from '../context.ts';
import { CredentialsError } from '../errors.ts';
import type { Session } from '../generated/client/client.ts';
import { verifyAccessToken } from '../identity/access-tokens.ts';
import { VERIFICATION_FAULT_SENTENCES } from '../identity/fault-sentences.ts';
import { decodeAccessToken, signAccessToken } from '../identity/tokens.ts';

/** How often reissued access tokens record the use of their session at most, in milliseconds. */
const USE_INTERVAL_MS = 60_000;

/**
 * Returns a new access token of the same session for one that has not expired.
 *
 * @throws {CredentialsError} when the token is invalid, or has no `orig_iat`, or one that is too old
 */
export async function reissueToken(services: Services, token: string): Promise<string> {
  const claims = decodeAccessToken(services.tokens, token);
  const owner = await verifyAccessToken(services, token);
  // The original service checked the user first. It knew no sessions that end.
  const isUserAccepted = typeof owner !== 'string' || owner === 'sessionEnded';
  if (isUserAccepted && typeof claims !== 'string' && !claims.orig_iat) {
    throw new CredentialsError('orig_iat field is required.');
  }
  if (typeof owner === 'string' || typeof claims === 'string') {
    throw new CredentialsError(typeof owner === 'string' ? VERIFICATION_FAULT_SENTENCES[owner] : undefined);
  }
  const now = new Date();
  const signedInAt = new Date((claims.orig_iat ?? 0) * 1000);
  const lifeS = Math.min(services.tokens.refreshTokenLifeS, services.tokens.sessionLifeS);
  if (signedInAt.getTime() + lifeS * 1000 < now.getTime()) {
    throw new CredentialsError('Refresh has expired.');
  }
  await recordUse(services, owner.session, now);
  return signAccessToken(services.tokens, owner.user, { sid: claims.sid, signedInAt }, now).token;
}

/** Records that a session is in use, unless that was recorded within {@link USE_INTERVAL_MS}. */
async function recordUse({ database }: Services, session: Session | null, now: Date): Promise<void> {
  if (session && session.lastUsedAt.getTime() < now.getTime() - USE_INTERVAL_MS) {
    await database.session.updateMany({ where: { id: session.id }, data: { lastUsedAt: now } });
  }
}
