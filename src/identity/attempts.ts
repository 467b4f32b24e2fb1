import { createHmac } from 'node:crypto';
import type { Services, SigningKey, SigningKeys } from '../context.ts';
import { removeInBatches } from '../database/cleanup.ts';
import type { Database } from '../database/client.ts';
import { type CounterLimit, type Reservation, refund, reserve, secondsUntilReset } from '../database/counters.ts';
import { findRow } from '../database/rows.ts';
import { OverloadedError } from '../errors.ts';
import type { UserViewer } from '../viewer.ts';
import { usernameKey } from './usernames.ts';

/** The window in which failed attempts are counted; it begins with the first of them. In milliseconds. */
const WINDOW_MS = 5 * 60 * 1000;
const DAY_MS = 24 * 60 * 60 * 1000;
/** How long an address stays known for a user after a sign-in from it, in milliseconds. */
const KNOWN_ADDRESS_LIFE_MS = 30 * DAY_MS;

export interface SignInAttempt {
  /** Upper and lower case are equal. */
  readonly username: string;
  readonly address: string;
}

/** Checks a password. Returns null when it is wrong. */
type PasswordCheck<Result> = () => Promise<Result | null>;

/**
 * Checks the password of a sign-in, unless too many attempts failed within five minutes: for this name from this address, for this name from any
 * address, or for any name from this address. The limit for the name alone does not apply to an address from which that user signed in within the last
 * 30 days, so that an attacker who guesses elsewhere does not lock the user out.
 *
 * @throws {OverloadedError} when too many attempts failed; the password is not checked
 */
export async function limitSignIn<Result>(
  services: Services,
  { username, address }: SignInAttempt,
  check: PasswordCheck<Result>,
): Promise<Result | null> {
  const { database, tokens } = services;
  const name = usernameKey(username);
  const { keys } = tokens;
  const now = Date.now();
  const known = await findKnownAddress(database, counterKeys(keys, 'known address', name, address));
  // The limit for the name alone comes last: an attempt that another limit rejects must never count against the user elsewhere.
  const limits = [
    ...limitsOf(tokens.maxFailedSignInsPerAddress, counterKeys(keys, 'sign in from', address)),
    ...limitsOf(tokens.maxFailedSignIns, counterKeys(keys, 'sign in', name, address)),
    ...(known.until > now ? [] : limitsOf(tokens.maxFailedSignInsPerName, counterKeys(keys, 'sign in as', name))),
  ];
  const result = await limitChecks(database, limits, check);
  // One write a day suffices.
  if (result !== null && known.currentUntil < now + KNOWN_ADDRESS_LIFE_MS - DAY_MS) {
    const key = counterKey(keys.signing, 'known address', name, address);
    await rememberAddress(database, key, new Date(now + KNOWN_ADDRESS_LIFE_MS));
  }
  return result;
}

/**
 * Checks the password by which a signed-in user confirms a change, unless too many attempts failed within five minutes: with the same credential, or
 * with all credentials of the user. The two limits keep the thief of one session from locking out the user's other sessions.
 *
 * @throws {OverloadedError} when too many attempts failed; the password is not checked
 */
export function limitConfirmation<Result>(
  { database, tokens }: Services,
  { id, credential }: UserViewer,
  check: PasswordCheck<Result>,
): Promise<Result | null> {
  const { keys } = tokens;
  const limits = [
    ...limitsOf(tokens.maxFailedSignIns, counterKeys(keys, 'confirm', id, credential.kind, credential.id)),
    ...limitsOf(tokens.maxFailedSignInsPerName, counterKeys(keys, 'confirm', id)),
  ];
  return limitChecks(database, limits, check);
}

/**
 * Counts a check before it begins, so that concurrent checks never exceed a limit, and takes the count back unless the password is wrong.
 */
async function limitChecks<Result>(
  database: Database,
  limits: readonly CounterLimit[],
  check: PasswordCheck<Result>,
): Promise<Result | null> {
  const reservations = await reserveAll(database, limits);
  let isWrong = false;
  try {
    const result = await check();
    isWrong = result === null;
    return result;
  } finally {
    if (!isWrong) {
      await refundAll(database, reservations);
    }
  }
}

async function reserveAll(database: Database, limits: readonly CounterLimit[]): Promise<Reservation[]> {
  const now = new Date();
  const reservations: Reservation[] = [];
  // One statement for each limit: no statement waits for a row while it locks another, so they cannot deadlock.
  for (const limit of limits) {
    const reservation = await reserve(database, limit, now);
    if (!reservation) {
      await refundAll(database, reservations);
      const seconds = await secondsUntilReset(database, limit.key, now);
      throw new OverloadedError(`Too many failed attempts with a wrong password. Try again in ${seconds} s.`, seconds);
    }
    reservations.push(reservation);
  }
  return reservations;
}

async function refundAll(database: Database, reservations: readonly Reservation[]): Promise<void> {
  await Promise.all(reservations.map((reservation) => refund(database, reservation)));
}

/** Returns until when an address is known under any key, and under the first one, which signs; in milliseconds since 1970, 0 when it is not known. */
async function findKnownAddress(
  database: Database,
  keys: readonly string[],
): Promise<{ until: number; currentUntil: number }> {
  const rows = await Promise.all(keys.map((key) => findRow(database, 'RateLimit', { key })));
  const times = rows.map((row) => row?.resetsAt.getTime() ?? 0);
  return { until: Math.max(...times), currentUntil: times[0] ?? 0 };
}

async function rememberAddress({ rateLimit }: Database, key: string, resetsAt: Date): Promise<void> {
  await rateLimit.upsert({ where: { key }, create: { key, count: 1, resetsAt }, update: { resetsAt } });
}

function limitsOf(max: number, keys: readonly string[]): CounterLimit[] {
  return keys.map((key) => ({ key, max, windowMs: WINDOW_MS }));
}

type CounterParts = readonly (string | number | null)[];

/**
 * Returns the keys of a counter: one for each accepted key of the server. All of them are counted, so that a rotation resets no counter, and nodes that sign with
 * different keys count together.
 */
export function counterKeys({ accepted }: SigningKeys, ...parts: CounterParts): string[] {
  return accepted.map((key) => counterKey(key, ...parts));
}

/** Returns the key of a counter. It is an HMAC, since a reader of the database could find the address of a plain hash by trying all addresses. */
function counterKey({ key }: SigningKey, ...parts: CounterParts): string {
  return createHmac('sha256', key).update(JSON.stringify(parts)).digest('hex');
}

/** Removes the counters whose window has passed, and the known addresses that expired. */
export async function removeExpiredCounters({ rateLimit }: Database, stopping: AbortSignal): Promise<void> {
  const where = { resetsAt: { lt: new Date() } };
  await removeInBatches(
    {
      find: async (take) => (await rateLimit.findMany({ where, take, select: { key: true } })).map(({ key }) => key),
      remove: (keys) => rateLimit.deleteMany({ where: { key: { in: keys }, ...where } }),
    },
    stopping,
  );
}
