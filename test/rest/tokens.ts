import { createHmac, randomBytes } from 'node:crypto';
import jwt from 'jsonwebtoken';

export const SECRET_KEY = randomBytes(32).toString('hex');

export const nowInSeconds = (): number => Math.ceil(Date.now() / 1000);

export interface Subject {
  readonly id: number;
  readonly username: string;
}

/** What a good access token says, with changes; undefined leaves a claim out. */
export function claims({ id, username }: Subject, changes: Record<string, unknown> = {}): Record<string, unknown> {
  const now = nowInSeconds();
  const all = { user_id: id, username, email: '', exp: now + 600, orig_iat: now, ...changes };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

export function mint(
  payload: Record<string, unknown>,
  { secret = SECRET_KEY, algorithm = 'HS256' }: { secret?: string; algorithm?: jwt.Algorithm } = {},
): string {
  return jwt.sign(payload, secret, { algorithm, noTimestamp: true });
}

/** Signs what the library refuses to sign: any payload under any header. */
export function mintByHand(payload: unknown, header: unknown = { alg: 'HS256', typ: 'JWT' }): string {
  const parts = [header, payload].map((part) =>
    Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url'),
  );
  const signed = parts.join('.');
  return `${signed}.${createHmac('sha256', SECRET_KEY).update(signed).digest('base64url')}`;
}

function altered(token: string): string {
  const [header, , signature] = token.split('.');
  const payload = Buffer.from(JSON.stringify({ ...(jwt.decode(token) as object), extra: 1 }));
  return [header, payload.toString('base64url'), signature].join('.');
}

const EXPIRED = 'Signature has expired.';
const UNDECODABLE = 'Error decoding signature.';
const INAPPLICABLE = 'Incorrect authentication credentials.';
const INCOMPLETE = 'Invalid payload.';

/** A kind of bad access token: its name, how one is made, and what a request with it and what the JWT paths say of it. */
export interface BadToken {
  readonly name: string;
  readonly make: (subject: Subject) => string;
  readonly refused: string;
  readonly verified: string;
}

const DAY_S = 86_400;

const bad = (
  name: string,
  make: BadToken['make'],
  refused: string,
  verified = refused === INAPPLICABLE ? UNDECODABLE : refused,
): BadToken => ({ name, make, refused, verified });

export const BAD_TOKENS: readonly BadToken[] = [
  bad('expired', (who) => mint(claims(who, { exp: nowInSeconds() - 60 })), EXPIRED),
  bad('of another secret', (who) => mint(claims(who), { secret: 'x'.repeat(40) }), UNDECODABLE),
  bad('altered', (who) => altered(mint(claims(who))), UNDECODABLE),
  bad('no JWT', () => 'garbage', UNDECODABLE),
  bad('three words that are no JWT', () => 'a.b.c', UNDECODABLE),
  bad('truncated', (who) => mint(claims(who)).slice(0, -5), UNDECODABLE),
  bad('without its signature', (who) => mint(claims(who)).replace(/[^.]+$/, ''), UNDECODABLE),
  bad('without its last part', (who) => mint(claims(who)).replace(/\.[^.]+$/, ''), UNDECODABLE),
  bad('with an exp that is text', (who) => mintByHand(claims(who, { exp: 'soon' })), UNDECODABLE),
  bad('with an exp that is a list', (who) => mintByHand(claims(who, { exp: [1] })), UNDECODABLE),
  bad('unsigned', (who) => mint(claims(who), { secret: '', algorithm: 'none' }), INAPPLICABLE),
  bad('of HS384', (who) => mint(claims(who), { algorithm: 'HS384' }), INAPPLICABLE),
  bad('of HS512', (who) => mint(claims(who), { algorithm: 'HS512' }), INAPPLICABLE),
  bad('of an unknown algorithm', (who) => mintByHand(claims(who), { alg: 'garbage', typ: 'JWT' }), INAPPLICABLE),
  bad('of no algorithm', (who) => mintByHand(claims(who), { typ: 'JWT' }), INAPPLICABLE),
  bad('valid from tomorrow on', (who) => mint(claims(who, { nbf: nowInSeconds() + DAY_S })), INAPPLICABLE),
  bad('for another audience', (who) => mint(claims(who, { aud: 'somebody else' })), INAPPLICABLE),
  bad('with an iat that is text', (who) => mintByHand(claims(who, { iat: 'today' })), INAPPLICABLE),
  bad('with an iat that is null', (who) => mintByHand(claims(who, { iat: null })), INAPPLICABLE),
  bad('expired, with an iat that is text', (who) => mintByHand(claims(who, { iat: 'today', exp: 1 })), INAPPLICABLE),
  bad('without a username', (who) => mint(claims(who, { username: undefined })), INCOMPLETE),
  bad('with an empty username', (who) => mint(claims(who, { username: '' })), INCOMPLETE),
  bad(
    'of a user who is gone',
    (who) => mint(claims(who, { username: 'gone' })),
    'Invalid signature.',
    "User doesn't exist.",
  ),
  bad('without an exp', (who) => mint(claims(who, { exp: undefined })), INCOMPLETE),
  bad('with the id of another user', (who) => mint(claims(who, { user_id: who.id + 1 })), INCOMPLETE),
  bad('without an id', (who) => mint(claims(who, { user_id: undefined })), INCOMPLETE),
];
