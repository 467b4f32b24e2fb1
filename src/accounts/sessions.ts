import type { Context, Services, TokenSettings } from '../context.ts';
import { removeInBatches } from '../database/cleanup.ts';
import type { Database } from '../database/open.ts';
import { findRow } from '../database/rows.ts';
import { CredentialsError } from '../errors.ts';
import type { Prisma, Session, RefreshToken as StoredRefreshToken, User } from '../generated/client/client.ts';
import { networkOf } from './addresses.ts';
import { recordAct } from './audit.ts';
import { type ProofFault, QUESTION_SENTENCES } from './fault-sentences.ts';
import { passwordMatches } from './passwords.ts';
import {
  digest,
  endOfSession,
  newAuthKey,
  newRefreshToken,
  newSid,
  readAccessToken,
  sidOfRefreshToken,
  signAccessToken,
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

type IssuedRefreshToken = ReturnType<typeof newRefreshToken>;

/** How long after its first use a refresh token gives further pairs, in milliseconds. */
const REUSE_INTERVAL_MS = 30_000;
/** How long a used or expired refresh token is kept, in milliseconds: longer than the clocks of the nodes differ. Later it is recognised by its signature. */
const KEEP_USED_MS = 10 * 60 * 1000;
/** How old the record of a session's last use becomes before a reissued access token renews it, in milliseconds. */
const USE_INTERVAL_MS = 60_000;
/** How many characters of a `User-Agent` header are kept. */
const MAX_USER_AGENT = 256;
const REFUSED_REFRESH = 'The refresh token is not valid.';

/** How many letters of a password or username are looked at when somebody signs in. */
const MAX_CREDENTIAL_LENGTH = 1000;

/** The active user with this name and password, or null. An unknown name costs as much time as a wrong password. */
export async function authenticate({ database }: Services, username: string, password: string): Promise<User | null> {
  const user =
    username.length > MAX_CREDENTIAL_LENGTH
      ? null
      : await database.user.findUnique({ where: { usernameKey: usernameKey(username) } });
  const matches = await passwordMatches(user?.passwordHash ?? null, password);
  return user && matches && user.isActive ? user : null;
}

/** What signing in works with: the services, and from where and with what program the user signs in, where that is known. */
export type Caller = Services & Partial<Pick<Context, 'address' | 'userAgent' | 'source'>>;

/**
 * Signs a user in: a session of its own, with a new pair of tokens, and with the cookie of this hash where there is one.
 *
 * @throws {CredentialsError} when the password was changed or the account closed since `user` was read
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
  return pairOf(tokens, user, session, refreshToken, now);
}

/** A session as a sign-in begins it. */
type NewSession = Pick<
  Prisma.SessionUncheckedCreateInput,
  'sid' | 'createdAt' | 'expiresAt' | 'cookieHash' | 'refreshTokens'
>;

/**
 * Stores the session of a sign-in. Sessions of the same user are removed when none of their credentials can be good any more.
 *
 * @throws {CredentialsError} when the password was changed or the account closed since `user` was read
 */
export function createSession(
  { database, tokens, address = '', userAgent = '' }: Caller,
  user: User,
  session: NewSession & { readonly createdAt: Date },
): Promise<Session> {
  const { createdAt } = session;
  return issue(database, user, async (transaction) => {
    await transaction.session.deleteMany({ where: { userId: user.id, ...overSessions(tokens, createdAt) } });
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
 * Gives a new pair for a refresh token. The token is used then, and gives further pairs for 30 seconds more: several tabs of a browser, or a client that did not
 * receive the answer, may present it again. A token that is presented later than that ends the whole session, as RFC 9700 section 4.14 advises: two parties hold it.
 *
 * @throws {CredentialsError} when the token is unknown, used, past its time, or its user inactive, or when its session lasted as long as sessions may
 */
export async function renewSession(services: Caller, refreshToken: string): Promise<TokenPair> {
  const { database, tokens } = services;
  const hash = digest(refreshToken);
  const now = new Date();
  const known = await findRow(database, 'RefreshToken', { hash });
  const session = known
    ? await findRow(database, 'Session', { id: known.sessionId })
    : await sessionOfForgotten(services, refreshToken);
  const user = session && (await findRow(database, 'User', { id: session.userId }));
  if (!session || !user?.isActive || (known && known.expiresAt <= now) || isOver(tokens, session, now)) {
    throw new CredentialsError(REFUSED_REFRESH);
  }
  const next = newRefreshToken(tokens, { sid: session.sid, signedInAt: session.createdAt }, now);
  if (!(known && (await replaceRefreshToken(database, known, next, now)))) {
    await endReusedSession(services, session, user);
    throw new CredentialsError(REFUSED_REFRESH);
  }
  return pairOf(tokens, user, session, next, now);
}

/** The session of a refresh token that was issued and used so long ago that its hash is no longer kept. */
async function sessionOfForgotten({ database, tokens }: Services, refreshToken: string): Promise<Session | undefined> {
  const sid = sidOfRefreshToken(tokens, refreshToken);
  return sid === null ? undefined : findRow(database, 'Session', { sid });
}

/** Ends a session of which a used refresh token was presented again, and all its tokens. */
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
 * Uses a refresh token and stores the next one of its session; both or nothing, so that a client can try again whatever failed. Returns false when the session
 * was ended meanwhile, or the token was used before, longer ago than that is allowed.
 */
function replaceRefreshToken(
  database: Database,
  { hash, sessionId }: StoredRefreshToken,
  { token, expiresAt }: IssuedRefreshToken,
  now: Date,
): Promise<boolean> {
  const longAgo = new Date(now.getTime() - KEEP_USED_MS);
  return database.$transaction(async (transaction) => {
    // The session first: whoever ends it at the same moment waits for this row, or has this wait and find nothing.
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

/** Marks a refresh token as used. Returns false when it was used before, longer ago than the reuse is allowed. */
async function useRefreshToken({ refreshToken }: Prisma.TransactionClient, hash: string, now: Date): Promise<boolean> {
  const { count } = await refreshToken.updateMany({ where: { hash, usedAt: null }, data: { usedAt: now } });
  if (count > 0) {
    return true;
  }
  const used = await refreshToken.findUnique({ where: { hash } });
  return used?.usedAt != null && now.getTime() - used.usedAt.getTime() <= REUSE_INTERVAL_MS;
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
    throw new CredentialsError(typeof proof === 'string' ? QUESTION_SENTENCES[proof] : undefined);
  }
  const now = new Date();
  const signedInAt = new Date((claims.orig_iat ?? 0) * 1000);
  const lifeS = Math.min(services.tokens.refreshTokenLifeS, services.tokens.sessionLifeS);
  if (signedInAt.getTime() + lifeS * 1000 < now.getTime()) {
    throw new CredentialsError('Refresh has expired.');
  }
  await recordUse(services, proof.session, now);
  return signAccessToken(services.tokens, proof.user, { sid: claims.sid, signedInAt }, now).token;
}

/** Records that a session is in use, unless that was recorded a moment ago. */
async function recordUse({ database }: Services, session: Session | null, now: Date): Promise<void> {
  if (session && session.lastUsedAt.getTime() < now.getTime() - USE_INTERVAL_MS) {
    await database.session.updateMany({ where: { id: session.id }, data: { lastUsedAt: now } });
  }
}

/**
 * Makes an opaque key that lives until it is destroyed; only its hash is kept.
 *
 * @throws {CredentialsError} when the password was changed or the account closed since `user` was read
 */
export async function createAuthKey({ database }: Services, user: User, name: string | null): Promise<string> {
  const key = newAuthKey();
  await issue(database, user, (transaction) =>
    transaction.authToken.create({ data: { userId: user.id, keyHash: digest(key), name } }),
  );
  return key;
}

/** Writes a credential unless what its password was checked against has changed meanwhile: a new password ends every older credential. */
function issue<Written>(
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

/**
 * Locks the row of a user until the end of the transaction, by a write that changes nothing and is not logged. Returns false when the password was changed
 * or the account closed since `user` was read.
 */
export async function lockUser(
  { user }: Prisma.TransactionClient,
  { id, passwordHash }: Pick<User, 'id' | 'passwordHash'>,
): Promise<boolean> {
  const { count } = await user.updateMany({ where: { id, passwordHash, isActive: true }, data: { passwordHash } });
  return count > 0;
}

/** A user together with the access token that proves it. */
export interface Proof {
  readonly user: User;
  /** The sign-in that the token belongs to; null for a token minted elsewhere. */
  readonly session: Session | null;
  /** When the token ends, or its session where that comes first. */
  readonly expiresAt: Date;
}

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
    return stillGood ? { user, session: null, expiresAt } : 'ended';
  }
  const session = await findRow(database, 'Session', { sid: claims.sid, userId: user.id });
  if (!session) {
    return 'ended';
  }
  const end = endOfSession(tokens, session.createdAt);
  return end <= new Date() ? 'over' : { user, session, expiresAt: end < expiresAt ? end : expiresAt };
}

function pairOf(
  tokens: TokenSettings,
  user: User,
  session: Session,
  refresh: IssuedRefreshToken,
  now: Date,
): TokenPair {
  const access = signAccessToken(tokens, user, { sid: session.sid, signedInAt: session.createdAt }, now);
  return { ...access, refreshToken: refresh.token, refreshExpiresAt: refresh.expiresAt, user };
}

type Lives = Pick<TokenSettings, 'accessTokenLifeS' | 'sessionLifeS'>;

/** The latest times of a sign-in, and of the end of the refresh tokens, with which a session is over. */
function timesOfOver({ accessTokenLifeS, sessionLifeS }: Lives, now: Date): { createdAt: Date; expiresAt: Date } {
  return {
    createdAt: new Date(now.getTime() - sessionLifeS * 1000),
    expiresAt: new Date(now.getTime() - accessTokenLifeS * 1000),
  };
}

/** Whether a session lasted as long as sessions may. */
function isOver(tokens: Lives, { createdAt }: Session, now: Date): boolean {
  return createdAt <= timesOfOver(tokens, now).createdAt;
}

/** The sessions that can no longer be renewed and whose last access token has expired as well. */
function overSessions(tokens: Lives, now: Date) {
  const { createdAt, expiresAt } = timesOfOver(tokens, now);
  return { OR: [{ createdAt: { lte: createdAt } }, { expiresAt: { lte: expiresAt } }] };
}

/** All other sessions. */
export function runningSessions(tokens: Lives, now: Date) {
  const { createdAt, expiresAt } = timesOfOver(tokens, now);
  return { createdAt: { gt: createdAt }, expiresAt: { gt: expiresAt } };
}

/** Removes the sessions that are over. */
export async function forgetSessions({ session }: Database, lives: Lives, stopping: AbortSignal): Promise<void> {
  const where = overSessions(lives, new Date());
  await removeInBatches(
    {
      find: async (take) => (await session.findMany({ where, take, select: { id: true } })).map(({ id }) => id),
      remove: (ids) => session.deleteMany({ where: { id: { in: ids } } }),
    },
    stopping,
  );
}
