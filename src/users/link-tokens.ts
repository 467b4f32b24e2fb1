import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { LinkPurpose } from '../config/auth-settings.ts';
import type { SigningKeys } from '../context.ts';
import type { User } from '../generated/client/client.ts';
import { parseId } from '../validation.ts';

/** For each purpose, the values of the user that a link is bound to: when one of them changes, the link is invalid. */
const BOUND_TO = {
  resetPassword: ({ resetEmail, passwordHash, credentialsChangedAt }: User) => [
    resetEmail,
    passwordHash,
    credentialsChangedAt.getTime(),
  ],
  verifyEmail: ({ email }: User) => [email],
} as const satisfies Record<LinkPurpose, (user: User) => readonly unknown[]>;

/** The id of a user, the time of expiry in seconds since 1970, and a MAC in base64url. Nothing of it has to be stored. */
const TOKEN = /^(\d{1,10})\.(\d{1,12})\.([\w-]{43})$/;

/** Returns the token of a link for a purpose and a user, which expires at the given time. */
export function signLink({ signing }: SigningKeys, purpose: LinkPurpose, user: User, expiresAt: Date): string {
  const end = Math.floor(expiresAt.getTime() / 1000);
  return `${user.id}.${end}.${macOf(signing.key, purpose, user, end).toString('base64url')}`;
}

/** Returns the id of the user that a token names; null when it is malformed or expired. {@link isLinkOf} verifies the token. */
export function userIdOfLink(token: string, now: Date): number | null {
  const [, id, end] = TOKEN.exec(token) ?? [];
  return Number(end) * 1000 > now.getTime() ? parseId(id ?? '') : null;
}

/** Returns whether {@link signLink} made a token for this purpose and user, whose values have not changed since. */
export function isLinkOf({ accepted }: SigningKeys, purpose: LinkPurpose, user: User, token: string): boolean {
  const [, id, end, mac = ''] = TOKEN.exec(token) ?? [];
  const given = Buffer.from(mac, 'base64url');
  const isSignedBy = (key: KeyObject): boolean => timingSafeEqual(given, macOf(key, purpose, user, Number(end)));
  return Number(id) === user.id && accepted.some(({ key }) => isSignedBy(key));
}

function macOf(secret: KeyObject, purpose: LinkPurpose, user: User, end: number): Buffer {
  const parts = ['link', purpose, user.id, end, ...BOUND_TO[purpose](user)];
  return createHmac('sha256', secret).update(JSON.stringify(parts)).digest();
}
