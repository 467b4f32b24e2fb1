import type { LinkPurpose } from '../config/auth-settings.ts';
import type { Services } from '../context.ts';
import { findRow } from '../database/rows.ts';
import { CredentialsError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { isLinkOf, signLink, userIdOfLink } from './link-tokens.ts';

const HOUR_S = 3600;

/** The error for a link that is malformed, expired or used. */
export function invalidLink(): CredentialsError {
  return new CredentialsError('The link is invalid, has expired or was already used. Request a new one.');
}

/** Returns a link for one purpose and user, and when it expires. */
export function createLink(
  { tokens, recovery }: Services,
  purpose: LinkPurpose,
  user: User,
): { url: string; expiresAt: Date } {
  const { page, lifeS } = recovery.links[purpose];
  const expiresAt = new Date(Date.now() + lifeS * 1000);
  return { url: `${page}#token=${signLink(tokens.keys, purpose, user, expiresAt)}`, expiresAt };
}

/**
 * Returns the active user whom the token of a link was issued for.
 *
 * @throws {CredentialsError} when the link was used, has expired, or was never issued
 */
export async function userOfLink({ database, tokens }: Services, purpose: LinkPurpose, token: string): Promise<User> {
  const id = userIdOfLink(token, new Date());
  const user = id === null ? undefined : await findRow(database, 'User', { id });
  if (!user?.isActive || !isLinkOf(tokens.keys, purpose, user, token)) {
    throw invalidLink();
  }
  return user;
}

/** Returns the life of the links for a purpose in words, like `2 hours`. */
export function lifeOfLinks({ recovery }: Services, purpose: LinkPurpose): string {
  const { lifeS } = recovery.links[purpose];
  return lifeS < 2 * HOUR_S ? `${Math.max(1, Math.floor(lifeS / 60))} minutes` : `${Math.floor(lifeS / HOUR_S)} hours`;
}
