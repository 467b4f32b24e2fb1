import type { Services, TokenSettings } from '../context.ts';
import { removeInBatches } from '../database/cleanup.ts';
import type { Database } from '../database/open.ts';
import { findRow } from '../database/rows.ts';
import { CredentialsError } from '../errors.ts';
import type { Prisma, Session, User } from '../generated/client/client.ts';
import { passwordMatches } from './passwords.ts';
import {
  digest,
  newAuthKey,
  newRefreshToken,
  newSid,
  readAccessToken,
  sidOfRefreshToken,
  signAccessToken,
  type TokenFault,
} from './tokens.ts';
import { usernameKey } from './usernames.ts';

/** The two tokens of a sign-in. */
export interface TokenPair {
  readonly token: string;
  readonly expiresAt: Date;
  readonly refreshToken: string;
  readonly refreshExpiresAt: Date;
  readonly user: User;
}

/** How many letters of a password or username are looked at when somebody signs in. */
const MAX_CREDENTIAL_LENGTH = 1000;

/**
 * The active user with this name and password. An unknown name costs as much time as a wrong password.
 *
 * @throws {CredentialsError} when there is none
 */
export async function authenticate({ database }: Services, username: string, password: string): Promise<User> {
  const user =
    username.length > MAX_CREDENTIAL_LENGTH
      ? null
      : await database.user.findUnique({ where: { usernameKey: usernameKey(username) } });
  const matches = await passwordMatches(user?.passwordHash ?? null, password);
  if (!(user && matches && user.isActive)) {
    throw new CredentialsError();
  }
  return user;
}

/**
 * Signs a user in: a session of its own, with a new pair of tokens. Sessions of the same user are removed when none of their tokens can be good
 * any more.
 *
 * @throws {CredentialsError} when the password was changed or the account closed since `user` was read
 */
export async function startSession({ database, tokens }: Services, user: User): Promise<TokenPair> {
  const now = new Date();
  const sid = newSid();
  const refreshToken = newRefreshToken(sid);
  const session = await issue(database, user, async (transaction) => {
    const longOver = new Date(now.getTime() - tokens.accessTokenLifeS * 1000);
    await transaction.session.deleteMany({ where: { userId: user.id, expiresAt: { lt: longOver } } });
    return transaction.session.create({
      data: {
        userId: user.id,
        sid,
        refreshHash: digest(refreshToken),
        createdAt: now,
        expiresAt: new Date(now.getTime() + tokens.refreshTokenLifeS * 1000),
      },
    });
  });
  return pairOf(tokens, user, session, refreshToken, now);
}

/**
 * Gives a new pair for a refresh token and ends that token. A token that was used before ends the whole session, as RFC 9700 section 4.14
 * advises: whoever presents it, two parties hold it.
 *
 * @throws {CredentialsError} when the token is unknown, used, past its time, or its user inactive
 */
export async function renewSession(
  { database, tokens, identities }: Services,
  refreshToken: string,
): Promise<TokenPair> {
  const sid = sidOfRefreshToken(refreshToken);
  const session = sid ? await database.session.findUnique({ where: { sid }, include: { user: true } }) : null;
  const now = new Date();
  if (!session || session.expiresAt <= now || !session.user.isActive) {
    throw new CredentialsError('The refresh token is not valid.');
  }
  const next = newRefreshToken(session.sid);
  const expiresAt = new Date(now.getTime() + tokens.refreshTokenLifeS * 1000);
  const { count } = await database.session.updateMany({
    where: { sid: session.sid, refreshHash: digest(refreshToken) },
    data: { refreshHash: digest(next), expiresAt },
  });
  if (count === 0) {
    identities.suspend(session.userId);
    await database.session.deleteMany({ where: { sid: session.sid } });
    throw new CredentialsError('The refresh token is not valid.');
  }
  return pairOf(tokens, session.user, { ...session, expiresAt }, next, now);
}

/**
 * Gives a new access token of the same sign-in for one that has not run out.
 *
 * @throws {CredentialsError} when the token proves nothing, names no time of signing in, or that lies too far back
 */
export async function reissueToken(services: Services, token: string): Promise<string> {
  const claims = readAccessToken(services.tokens, token);
  if (typeof claims !== 'string' && claims.orig_iat === undefined) {
    throw new CredentialsError('orig_iat field is required.');
  }
  const proof = await proveUser(services, token);
  if (typeof proof === 'string' || typeof claims === 'string') {
    throw new CredentialsError(typeof proof === 'string' ? FAULT_SENTENCES[proof] : undefined);
  }
  const now = new Date();
  const signedInAt = new Date((claims.orig_iat ?? 0) * 1000);
  if (signedInAt.getTime() + services.tokens.refreshTokenLifeS * 1000 < now.getTime()) {
    throw new CredentialsError('Refresh has expired.');
  }
  return signAccessToken(services.tokens, proof.user, { sid: claims.sid, signedInAt }, now).token;
}

/**
 * Makes an opaque key that lives until it is destroyed; only its hash is kept.
 *
 * @throws {CredentialsError} when the password was changed or the account closed since `user` was read
 */
export async function createAuthKey({ database }: Services, user: User): Promise<string> {
  const key = newAuthKey();
  await issue(database, user, (transaction) =>
    transaction.authToken.create({ data: { userId: user.id, keyHash: digest(key) } }),
  );
  return key;
}

/** Writes a credential unless what its password was checked against has changed meanwhile: a new password ends every older credential. */
function issue<Written>(
  database: Database,
  { id, passwordHash }: User,
  write: (transaction: Prisma.TransactionClient) => Promise<Written>,
): Promise<Written> {
  return database.$transaction(async (transaction) => {
    const { count } = await transaction.user.updateMany({
      where: { id, passwordHash, isActive: true },
      data: { passwordHash },
    });
    if (count === 0) {
      throw new CredentialsError();
    }
    return write(transaction);
  });
}

/** A user together with the access token that proves it. */
export interface Proof {
  readonly user: User;
  /** The sign-in that the token belongs to; null for a token minted elsewhere. */
  readonly sessionId: number | null;
  readonly expiresAt: Date;
}

/** Why an access token is no proof: its own fault, or that of whom it names. */
export type ProofFault = TokenFault | 'unknownUser' | 'otherUser' | 'inactiveUser' | 'ended';

/** Sentences for access tokens that prove nothing, for whoever asks about one. */
export const FAULT_SENTENCES: Readonly<Record<ProofFault, string>> = {
  expired: 'Signature has expired.',
  undecodable: 'Error decoding signature.',
  inapplicable: 'Error decoding signature.',
  incomplete: 'Invalid payload.',
  otherUser: 'Invalid payload.',
  unknownUser: "User doesn't exist.",
  inactiveUser: 'User account is disabled.',
  ended: 'Error decoding signature.',
};

/** Checks an access token against the users and sessions of the present moment. */
export async function proveUser({ database, tokens }: Services, token: string): Promise<Proof | ProofFault> {
  const claims = readAccessToken(tokens, token);
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
    const stillGood = (claims.orig_iat ?? 0) * 1000 >= user.credentialsChangedAt.getTime();
    return stillGood ? { user, sessionId: null, expiresAt } : 'ended';
  }
  const session = await findRow(database, 'Session', { sid: claims.sid, userId: user.id });
  return session ? { user, sessionId: session.id, expiresAt } : 'ended';
}

function pairOf(tokens: TokenSettings, user: User, session: Session, refreshToken: string, now: Date): TokenPair {
  const access = signAccessToken(tokens, user, { sid: session.sid, signedInAt: session.createdAt }, now);
  return { ...access, refreshToken, refreshExpiresAt: session.expiresAt, user };
}

/** Removes the sessions that can no longer be renewed and whose last access token has expired as well. */
export async function forgetSessions(
  { session }: Database,
  accessTokenLifeS: number,
  stopping: AbortSignal,
): Promise<void> {
  const where = { expiresAt: { lt: new Date(Date.now() - accessTokenLifeS * 1000) } };
  await removeInBatches(
    {
      find: async (take) => (await session.findMany({ where, take, select: { id: true } })).map(({ id }) => id),
      remove: (ids) => session.deleteMany({ where: { id: { in: ids } } }),
    },
    stopping,
  );
}
