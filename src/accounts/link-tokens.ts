import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { User } from '../generated/client/client.ts';
import { parseId } from '../validation.ts';

/** What a link in a mail allows, and what of its user it is good for: when one of these changes, the link ends. */
const BOUND_TO = {
  resetPassword: ({ resetEmail, passwordHash, credentialsChangedAt }: User) => [
    resetEmail,
    passwordHash,
    credentialsChangedAt.getTime(),
  ],
  verifyEmail: ({ email }: User) => [email],
} as const;

export type LinkPurpose = keyof typeof BOUND_TO;

/** The id of a user, the second at which the link ends, and a MAC in base64url: nothing of it has to be stored. */
const TOKEN = /^(\d{1,10})\.(\d{1,12})\.([\w-]{43})$/;

/** Makes the token of a link that is good for a user until a time. */
export function signLink(secret: KeyObject, purpose: LinkPurpose, user: User, expiresAt: Date): string {
  const end = Math.floor(expiresAt.getTime() / 1000);
  return `${user.id}.${end}.${macOf(secret, purpose, user, end).toString('base64url')}`;
}

/** The id of the user whom a token may be for, unless it is malformed or over; {@link isLinkOf} says whether it really is. */
export function userIdOfLink(token: string, now: Date): number | null {
  const [, id, end] = TOKEN.exec(token) ?? [];
  return Number(end) * 1000 > now.getTime() ? parseId(id ?? '') : null;
}

/** Whether a token was made by {@link signLink} for this purpose and user, as the user is now. */
export function isLinkOf(secret: KeyObject, purpose: LinkPurpose, user: User, token: string): boolean {
  const [, id, end, mac = ''] = TOKEN.exec(token) ?? [];
  return (
    Number(id) === user.id && timingSafeEqual(Buffer.from(mac, 'base64url'), macOf(secret, purpose, user, Number(end)))
  );
}

function macOf(secret: KeyObject, purpose: LinkPurpose, user: User, end: number): Buffer {
  const parts = ['link', purpose, user.id, end, ...BOUND_TO[purpose](user)];
  return createHmac('sha256', secret).update(JSON.stringify(parts)).digest();
}
