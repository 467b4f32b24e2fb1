import type { Services } from '../context.ts';
import { findRow } from '../database/rows.ts';
import type { Session, User } from '../generated/client/client.ts';
import type { AccessTokenFault } from './fault-sentences.ts';
import { type AccessClaims, decodeAccessToken, endOfSession } from './tokens.ts';
import { usernameKey } from './usernames.ts';

/** The user whom a valid access token was issued for. */
export interface AccessTokenOwner {
  readonly user: User;
  /** The session of the token; null for a token that another program signed with the shared secret. */
  readonly session: Session | null;
  /** When the token or its session expires, whichever comes first. */
  readonly expiresAt: Date;
}

/** Verifies an access token: its signature and claims, and the user and the session that it names, as they are stored now. */
export async function verifyAccessToken(
  { database, tokens }: Services,
  token: string,
): Promise<AccessTokenOwner | AccessTokenFault> {
  const claims = decodeAccessToken(tokens, token);
  if (typeof claims === 'string') {
    return claims;
  }
  const user = await findRow(database, 'User', { usernameKey: usernameKey(claims.username) });
  if (!user) {
    return 'unknownUser';
  }
  if (user.id !== claims.user_id) {
    return 'otherUser';
  }
  if (!user.isActive) {
    return 'inactiveUser';
  }
  const expiresAt = new Date(claims.exp * 1000);
  if (!claims.sid) {
    return isAfterLastChange(claims, user) ? { user, session: null, expiresAt } : 'sessionEnded';
  }
  const session = await findRow(database, 'Session', { sid: claims.sid, userId: user.id });
  if (!session) {
    return 'sessionEnded';
  }
  const end = endOfSession(tokens, session.createdAt);
  return end <= new Date() ? 'sessionOver' : { user, session, expiresAt: end < expiresAt ? end : expiresAt };
}

/**
 * Returns whether a token without a session was issued after the credentials of its user last changed, in whole seconds, the unit of `orig_iat`. A token that
 * does not say when it was issued is accepted while they never changed.
 */
function isAfterLastChange({ orig_iat: issuedAt }: AccessClaims, { credentialsChangedAt, createdAt }: User): boolean {
  if (!issuedAt) {
    // One statement sets both when it creates the account.
    return credentialsChangedAt.getTime() <= createdAt.getTime();
  }
  return Math.floor(issuedAt) >= Math.floor(credentialsChangedAt.getTime() / 1000);
}
