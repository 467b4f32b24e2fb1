import type { Caller, Services } from '../context.ts';
import { CredentialsError, OverloadedError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { verifyAccessToken } from '../identity/access-tokens.ts';
import { limitSignIn } from '../identity/attempts.ts';
import { authenticate } from '../identity/authentication.ts';
import { FAULT_EXPLANATIONS, VERIFICATION_FAULT_SENTENCES } from '../identity/fault-sentences.ts';
import type { TokenPair } from '../identity/tokens.ts';
import type { SignInOutcome } from '../telemetry.ts';
import { startSession } from './sessions.ts';

export interface Login {
  readonly username: string;
  readonly password: string;
}

/**
 * Returns the user with this username and password.
 *
 * @throws {CredentialsError} when they are not those of an active user
 * @throws {OverloadedError} after too many wrong passwords, or when too many are being checked
 */
export async function signIn(services: Caller, { username, password }: Login): Promise<User> {
  const { address = '', requestId, telemetry } = services;
  // Not the name either: people type their password into its field.
  const report = (outcome: SignInOutcome, userId: number | null = null): void =>
    telemetry.report({ kind: 'signIn', outcome, userId, address, requestId });
  try {
    const user = await limitSignIn(services, { username, address }, () => authenticate(services, username, password));
    report(user ? 'accepted' : 'refused', user?.id);
    if (!user) {
      throw new CredentialsError();
    }
    return user;
  } catch (error) {
    if (error instanceof OverloadedError) {
      report('limited');
    }
    throw error;
  }
}

/**
 * Starts a session of the user with this username and password.
 *
 * @throws {CredentialsError} when they are not those of an active user
 * @throws {OverloadedError} after too many wrong passwords, or when too many are being checked
 */
export async function obtainToken(services: Caller, login: Login): Promise<TokenPair> {
  return startSession(services, await signIn(services, login));
}

/**
 * Verifies an access token. Returns its user, and when it expires.
 *
 * @throws {CredentialsError} when the token is invalid, with the reason
 */
export async function verifyToken(
  services: Services,
  token: string,
): Promise<{ token: string; user: User; expiresAt: Date }> {
  const owner = await verifyAccessToken(services, token);
  if (typeof owner === 'string') {
    throw new CredentialsError(VERIFICATION_FAULT_SENTENCES[owner], FAULT_EXPLANATIONS[owner]);
  }
  return { token, user: owner.user, expiresAt: owner.expiresAt };
}
