import { z } from 'zod';
import type { Caller, Services } from '../context.ts';
import type { User } from '../generated/client/client.ts';
import { digest, newAuthKey } from '../identity/tokens.ts';
import { text, validate } from '../validation.ts';
import { issueCredential } from './sessions.ts';
import { type Login, signIn } from './sign-in.ts';

const MAX_KEY_NAME = 100;

const keyDetails = z.object({ name: text(MAX_KEY_NAME).nullable() });

/** The checked values of a new API key. */
export interface PreparedKey {
  readonly user: User;
  readonly name: string | null;
}

/**
 * Checks the name and the user of a new API key.
 *
 * @throws {ValidationError} when the name is empty or too long
 * @throws {CredentialsError} when username and password are not those of an active user
 * @throws {OverloadedError} after too many wrong passwords, or when too many are being checked
 */
export async function prepareAuthToken(services: Caller, login: Login, name: string | null): Promise<PreparedKey> {
  return { ...validate(keyDetails, { name }), user: await signIn(services, login) };
}

/**
 * Creates an API key, which does not expire. Only its hash is stored.
 *
 * @throws {CredentialsError} when the password was changed or the account deactivated since `prepareAuthToken`
 */
export async function createAuthToken(
  { database }: Services,
  { user, name }: PreparedKey,
): Promise<{ authToken: string; user: User }> {
  const key = newAuthKey();
  await issueCredential(database, user, (transaction) =>
    transaction.authToken.create({ data: { userId: user.id, keyHash: digest(key), name } }),
  );
  return { authToken: key, user };
}
