import type { Caller, TokenSettings } from '../context.ts';
import type { Database } from '../database/client.ts';
import { CredentialsError } from '../errors.ts';
import type { Prisma, Session, User } from '../generated/client/client.ts';
import { networkOf } from '../identity/addresses.ts';
import { digest, newRefreshToken, newSid, signAccessToken, type TokenPair } from '../identity/tokens.ts';
import { lockUser } from '../identity/viewer-row.ts';
import { expiredSessions } from './session-life.ts';

export type IssuedRefreshToken = ReturnType<typeof newRefreshToken>;

/** How many characters of a `User-Agent` header are stored. */
const MAX_USER_AGENT = 256;

/**
 * Starts a session of a user, with a pair of tokens and, if there is one, with the cookie of this hash.
 *
 * @throws {CredentialsError} when the password was changed or the account deactivated since `user` was read
 */
export async function startSession(caller: Caller, user: User, cookieHash: string | null = null): Promise<TokenPair> {
  const { tokens } = caller;
  const now = new Date();
  const sid = newSid();
  const refreshToken = newRefreshToken(tokens, { sid, signedInAt: now }, now);
  const { expiresAt } = refreshToken;
  const session = await createSession(caller, user, {
    sid,
    createdAt: now,
    expiresAt,
    cookieHash,
    refreshTokens: { create: { hash: digest(refreshToken.token), expiresAt } },
  });
  return tokenPairOf(tokens, user, session, refreshToken, now);
}

/** The columns of a new session. */
type NewSession = Pick<
  Prisma.SessionUncheckedCreateInput,
  'sid' | 'createdAt' | 'expiresAt' | 'cookieHash' | 'refreshTokens'
>;

/**
 * Stores a new session, and removes the expired sessions of the same user.
 *
 * @throws {CredentialsError} when the password was changed or the account deactivated since `user` was read
 */
export function createSession(
  { database, tokens, address = '', userAgent = '' }: Caller,
  user: User,
  session: NewSession & { readonly createdAt: Date },
): Promise<Session> {
  const { createdAt } = session;
  return issueCredential(database, user, async (transaction) => {
    await transaction.session.deleteMany({ where: { userId: user.id, ...expiredSessions(tokens, createdAt) } });
    return transaction.session.create({
      data: {
        ...session,
        userId: user.id,
        lastUsedAt: createdAt,
        userAgent: userAgent.slice(0, MAX_USER_AGENT) || null,
        address: networkOf(address),
      },
    });
  });
}

/**
 * Writes a credential of a user whose password was checked.
 *
 * @throws {CredentialsError} when the password was changed or the account deactivated since `user` was read: that ends every older credential
 */
export function issueCredential<Written>(
  database: Database,
  user: User,
  write: (transaction: Prisma.TransactionClient) => Promise<Written>,
): Promise<Written> {
  return database.$transaction(async (transaction) => {
    if (!(await lockUser(transaction, user))) {
      throw new CredentialsError();
    }
    return write(transaction);
  });
}

/** Returns a new access token of a session together with its refresh token. */
export function tokenPairOf(
  tokens: TokenSettings,
  user: User,
  session: Session,
  refresh: IssuedRefreshToken,
  now: Date,
): TokenPair {
  const access = signAccessToken(tokens, user, { sid: session.sid, signedInAt: session.createdAt }, now);
  return { ...access, refreshToken: refresh.token, refreshExpiresAt: refresh.expiresAt, user };
}
