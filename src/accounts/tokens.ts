import { createHash, randomBytes } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { z } from 'zod';
import type { TokenSettings } from '../context.ts';
import type { User } from '../generated/client/client.ts';

const ALGORITHM = 'HS256';
/** The `aud` claim of refresh tokens; access tokens have none. */
const REFRESH_AUDIENCE = 'tidings refresh';
const REFRESH_ID_BYTES = 32;
const SID_BYTES = 16;
const KEY_BYTES = 20;
/** The last second that a date can stand for. */
const MAX_TIME_S = 8.64e12;

/** What an access token says: a JWT signed with HS256. Times are in seconds since 1970. */
export interface AccessClaims {
  readonly user_id: number;
  readonly username: string;
  readonly email?: string | undefined;
  readonly exp: number;
  /** When the sign-in happened that this token descends from. */
  readonly orig_iat?: number | undefined;
  /** The sign-in; tokens minted elsewhere with the shared secret have none. */
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

/** Why a JWT is refused, before anybody looks at whose it is. */
export type TokenFault = 'expired' | 'undecodable' | 'inapplicable' | 'incomplete';

/** A sign-in that tokens are issued for. */
export interface SignIn {
  /** Undefined for a token minted elsewhere. */
  readonly sid: string | undefined;
  readonly signedInAt: Date;
}

/** When a sign-in ends, however often it is refreshed. */
export function endOfSession({ sessionLifeS }: Pick<TokenSettings, 'sessionLifeS'>, signedInAt: Date): Date {
  return new Date(signedInAt.getTime() + sessionLifeS * 1000);
}

/** Signs an access token that ends `accessTokenLifeS` seconds from `now`, and with its sign-in at the latest. */
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
    // `jti` makes two tokens of one second differ.
    token: jwt.sign({ ...claims, jti: randomBytes(8).toString('hex') }, settings.secret, {
      algorithm: ALGORITHM,
      noTimestamp: true,
    }),
    expiresAt: new Date(exp * 1000),
  };
}

/** Checks the signature, the algorithm, the times and the shape of an access token. */
export function readAccessToken(settings: TokenSettings, token: string): AccessClaims | TokenFault {
  try {
    // Throws for a payload that is not JSON although the header says that it is a JWT.
    const decoded = jwt.decode(token, { complete: true });
    if (decoded && decoded.header.alg !== ALGORITHM) {
      return 'inapplicable';
    }
    const claims = jwt.verify(token, settings.secret, { algorithms: [ALGORITHM] });
    if (typeof claims === 'object' && claims.aud !== undefined) {
      // Access tokens are for nobody in particular: one that names an audience is a refresh token or was made for another service.
      return 'inapplicable';
    }
    const parsed = claimsShape.safeParse(claims);
    return parsed.success ? parsed.data : 'incomplete';
  } catch (error) {
    if (error instanceof jwt.TokenExpiredError) {
      return 'expired';
    }
    if (error instanceof jwt.NotBeforeError) {
      return 'inapplicable';
    }
    return 'undecodable';
  }
}

/** SHA-256 in hex: enough for secrets that are random themselves, and quick to look up by. */
export function digest(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** A new opaque key: 40 hex digits. */
export function newAuthKey(): string {
  return randomBytes(KEY_BYTES).toString('hex');
}

/** A new name for a sign-in. */
export function newSid(): string {
  return randomBytes(SID_BYTES).toString('hex');
}

/**
 * A new refresh token, which ends `refreshTokenLifeS` seconds from `now`, and with its sign-in at the latest. It is accepted by its hash, and signed to be
 * recognised without.
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
    token: jwt.sign({ sid, jti, exp, aud: REFRESH_AUDIENCE }, settings.secret, {
      algorithm: ALGORITHM,
      noTimestamp: true,
    }),
    expiresAt: new Date(exp * 1000),
  };
}

const refreshClaims = z.object({ sid: z.string() });

/**
 * The sign-in that a refresh token was issued for; null when this server did not issue it with its present secret, or it has ended. Tokens
 * of versions before 2026-11-24 are not signed: null for these, too.
 */
export function sidOfRefreshToken(settings: TokenSettings, token: string): string | null {
  try {
    const claims = jwt.verify(token, settings.secret, { algorithms: [ALGORITHM], audience: REFRESH_AUDIENCE });
    return refreshClaims.safeParse(claims).data?.sid ?? null;
  } catch {
    return null;
  }
}
