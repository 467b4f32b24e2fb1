import { createHash, randomBytes } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { z } from 'zod';
import type { SigningKeys, TokenSettings } from '../context.ts';
import type { User } from '../generated/client/client.ts';

const ALGORITHM = 'HS256';
/** The `aud` claim of refresh tokens; access tokens have none. */
const REFRESH_AUDIENCE = 'tidings refresh';
/** The message of the library for a signature that was made with another key. */
const WRONG_SIGNATURE = 'invalid signature';
const REFRESH_ID_BYTES = 32;
const SID_BYTES = 16;
const KEY_BYTES = 20;
/** The latest time that a `Date` can represent, in seconds since 1970. */
const MAX_TIME_S = 8.64e12;

/** The claims of an access token, a JWT signed with HS256. Times are in seconds since 1970. */
export interface AccessClaims {
  readonly user_id: number;
  readonly username: string;
  readonly email?: string | undefined;
  readonly exp: number;
  /** The time of the sign-in that began the session of this token; 0 counts as missing. */
  readonly orig_iat?: number | undefined;
  /** The session. Tokens that another program signed with the shared secret have none. */
  readonly sid?: string | undefined;
}

const claimsShape = z.object({
  user_id: z.int32(),
  username: z.string().min(1),
  email: z.string().optional(),
  exp: z.number().max(MAX_TIME_S),
  orig_iat: z.number().optional(),
  sid: z.string().optional(),
});

/** Why an access token is rejected without reading its user from the database. */
export type TokenFault = 'expired' | 'undecodable' | 'inapplicable' | 'incomplete';

/** The session that tokens are issued for. */
export interface SignIn {
  /** Undefined for a token that another program signed. */
  readonly sid: string | undefined;
  readonly signedInAt: Date;
}

/** Returns when a session ends at the latest, however often it is refreshed. */
export function endOfSession({ sessionLifeS }: Pick<TokenSettings, 'sessionLifeS'>, signedInAt: Date): Date {
  return new Date(signedInAt.getTime() + sessionLifeS * 1000);
}

function sign({ signing }: SigningKeys, claims: object): string {
  return jwt.sign(claims, signing.key, { algorithm: ALGORITHM, noTimestamp: true, keyid: signing.id });
}

/**
 * Verifies a token with the key that its `kid` names, and a token without one with every key: earlier versions, and other programs that sign with the secret,
 * set none.
 *
 * @throws {jwt.JsonWebTokenError} when the token is refused; with an unknown `kid` it is refused like one with a wrong signature
 */
function verify({ accepted }: SigningKeys, token: string, options: jwt.VerifyOptions = {}): unknown {
  const kid: unknown = jwt.decode(token, { complete: true })?.header.kid;
  for (const { id, key } of accepted) {
    if (kid === undefined || kid === id) {
      try {
        return jwt.verify(token, key, { ...options, algorithms: [ALGORITHM] });
      } catch (error) {
        if (!(error instanceof jwt.JsonWebTokenError) || error.message !== WRONG_SIGNATURE) {
          throw error;
        }
      }
    }
  }
  throw new jwt.JsonWebTokenError(WRONG_SIGNATURE);
}

/** Signs an access token that expires `accessTokenLifeS` seconds after `now`, and with its session at the latest. */
export function signAccessToken(
  settings: TokenSettings,
  user: Pick<User, 'id' | 'username' | 'email'>,
  session: SignIn,
  now: Date,
): { token: string; expiresAt: Date } {
  const end = endOfSession(settings, session.signedInAt);
  const exp = Math.min(Math.floor(now.getTime() / 1000) + settings.accessTokenLifeS, Math.floor(end.getTime() / 1000));
  const claims: AccessClaims = {
    user_id: user.id,
    username: user.username,
    email: user.email,
    exp,
    orig_iat: Math.floor(session.signedInAt.getTime() / 1000),
    sid: session.sid,
  };
  return {
    // `jti` makes two tokens of the same second differ.
    token: sign(settings.keys, { ...claims, jti: randomBytes(8).toString('hex') }),
    expiresAt: new Date(exp * 1000),
  };
}

/** Decodes an access token and verifies its signature, algorithm, times and claims, but not its user and session. */
export function decodeAccessToken(settings: TokenSettings, token: string): AccessClaims | TokenFault {
  let isIssuedAtValid = false;
  try {
    // It throws for a payload that is not JSON although the header has the type JWT.
    const decoded = jwt.decode(token, { complete: true });
    if (decoded && decoded.header.alg !== ALGORITHM) {
      return 'inapplicable';
    }
    isIssuedAtValid = hasValidIssuedAt(decoded?.payload);
    const claims = verify(settings.keys, token);
    if (!isIssuedAtValid || audienceOf(claims) !== undefined) {
      // Access tokens have no audience: a token with one is a refresh token, or was issued for another service.
      return 'inapplicable';
    }
    const parsed = claimsShape.safeParse(claims);
    return parsed.success ? parsed.data : 'incomplete';
  } catch (error) {
    if (error instanceof jwt.TokenExpiredError) {
      // The original service checked `iat` before `exp`.
      return isIssuedAtValid ? 'expired' : 'inapplicable';
    }
    if (error instanceof jwt.NotBeforeError) {
      return 'inapplicable';
    }
    return 'undecodable';
  }
}

/** Returns whether `iat` is absent or a number (RFC 7519, section 4.1.6). The library ignores it. */
function hasValidIssuedAt(claims: unknown): boolean {
  return (
    typeof claims !== 'object' || claims === null || !('iat' in claims) || z.number().safeParse(claims.iat).success
  );
}

function audienceOf(claims: unknown): unknown {
  return typeof claims === 'object' && claims !== null && 'aud' in claims ? claims.aud : undefined;
}

/** Returns the SHA-256 hash of a secret in hex. The secrets are random, so they need no slow hash. */
export function digest(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Returns a new opaque key: 40 hex digits. */
export function newAuthKey(): string {
  return randomBytes(KEY_BYTES).toString('hex');
}

/** Returns a new session id for the `sid` claim. */
export function newSid(): string {
  return randomBytes(SID_BYTES).toString('hex');
}

/**
 * Returns a new refresh token, which expires `refreshTokenLifeS` seconds after `now`, and with its session at the latest. It is valid while its hash is stored; its
 * signature identifies the session after the hash was removed.
 */
export function newRefreshToken(
  settings: TokenSettings,
  { sid, signedInAt }: SignIn,
  now: Date,
): { token: string; expiresAt: Date } {
  const end = endOfSession(settings, signedInAt);
  const exp = Math.ceil(Math.min(now.getTime() + settings.refreshTokenLifeS * 1000, end.getTime()) / 1000);
  const jti = randomBytes(REFRESH_ID_BYTES).toString('base64url');
  return {
    token: sign(settings.keys, { sid, jti, exp, aud: REFRESH_AUDIENCE }),
    expiresAt: new Date(exp * 1000),
  };
}

const refreshClaims = z.object({ sid: z.string() });

/**
 * Returns the session id that a refresh token was issued for; null when it was not signed with an accepted key, or has expired. Versions before 2026-11-24
 * did not sign refresh tokens, so their tokens give null.
 */
export function sidOfRefreshToken(settings: TokenSettings, token: string): string | null {
  try {
    const claims = verify(settings.keys, token, { audience: REFRESH_AUDIENCE });
    return refreshClaims.safeParse(claims).data?.sid ?? null;
  } catch {
    return null;
  }
}

/** The access token and the refresh token of a session. */
export interface TokenPair {
  readonly token: string;
  readonly expiresAt: Date;
  readonly refreshToken: string;
  readonly refreshExpiresAt: Date;
  readonly user: User;
}
