import { createHmac, type KeyObject } from 'node:crypto';
import type { Services } from '../context.ts';
import { removeInBatches } from '../database/cleanup.ts';
import { type CounterLimit, giveBack, type Reservation, reserve, secondsLeft } from '../database/counters.ts';
import type { Database } from '../database/open.ts';
import { findRow } from '../database/rows.ts';
import { OverloadedError } from '../errors.ts';
import type { UserViewer } from '../viewer.ts';
import { usernameKey } from './usernames.ts';

/** For how long failed attempts are counted after the first of them, in milliseconds. */
const WINDOW_MS = 5 * 60 * 1000;
const DAY_MS = 24 * 60 * 60 * 1000;
/** For how long an address is known to be a user's after they signed in from there, in milliseconds. */
const KNOWN_ADDRESS_LIFE_MS = 30 * DAY_MS;

/** A sign-in: with which name, in any case of letters, and from which address. */
export interface SignInAttempt {
  readonly username: string;
  readonly address: string;
}

/** Checks a password; gives null when it is wrong. */
type PasswordCheck<Result> = () => Promise<Result | null>;

/**
 * Checks the password of a sign-in, unless too many attempts have failed within five minutes: with this name from this address, with this name from any
 * address, or from this address with any name. An address from which the name signed in within the last 30 days is exempt from the limit of the name alone:
 * whoever guesses from elsewhere does not lock the user out there.
 *
 * @throws {OverloadedError} when too many attempts have failed, without checking the password
 */
export async function limitSignIn<Result>(
  services: Services,
  { username, address }: SignInAttempt,
  check: PasswordCheck<Result>,
): Promise<Result | null> {
  const { database, tokens } = services;
  const name = usernameKey(username);
  const knownAddress = counterKey(tokens.secret, 'known address', name, address);
  const now = Date.now();
  const knownUntil = (await findRow(database, 'RateLimit', { key: knownAddress }))?.resetsAt.getTime() ?? 0;
  // The name alone comes last: an attempt that another limit refuses must not even for a moment count against its user elsewhere.
  const limits = [
    limitOf(tokens.maxFailedSignInsPerAddress, counterKey(tokens.secret, 'sign in from', address)),
    limitOf(tokens.maxFailedSignIns, counterKey(tokens.secret, 'sign in', name, address)),
    ...(knownUntil > now
      ? []
      : [limitOf(tokens.maxFailedSignInsPerName, counterKey(tokens.secret, 'sign in as', name))]),
  ];
  const result = await limitChecks(database, limits, check);
  // Once a day is enough.
  if (result !== null && knownUntil < now + KNOWN_ADDRESS_LIFE_MS - DAY_MS) {
    await rememberAddress(database, knownAddress, new Date(now + KNOWN_ADDRESS_LIFE_MS));
  }
  return result;
}

/**
 * Checks the password that a signed-in user confirms a change with, unless too many attempts have failed within five minutes: with the same credential, or
 * with all credentials of the user. Of a user with several sessions, somebody who stole one does not lock the others out.
 *
 * @throws {OverloadedError} when too many attempts have failed, without checking the password
 */
export function limitConfirmation<Result>(
  { database, tokens }: Services,
  { id, credential }: UserViewer,
  check: PasswordCheck<Result>,
): Promise<Result | null> {
  const { secret } = tokens;
  const limits = [
    limitOf(tokens.maxFailedSignIns, counterKey(secret, 'confirm', id, credential.kind, credential.id)),
    limitOf(tokens.maxFailedSignInsPerName, counterKey(secret, 'confirm', id)),
  ];
  return limitChecks(database, limits, check);
}

/**
 * Counts the check before it begins, so that no number of checks at the same time exceeds a limit; unless the password turns out to be wrong, it is
 * not counted in the end.
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
      await giveBackAll(database, reservations);
    }
  }
}

async function reserveAll(database: Database, limits: readonly CounterLimit[]): Promise<Reservation[]> {
  const now = new Date();
  const reservations: Reservation[] = [];
  // One statement each: none ever waits for a row while it holds another one, so that they cannot deadlock.
  for (const limit of limits) {
    const reservation = await reserve(database, limit, now);
    if (!reservation) {
      await giveBackAll(database, reservations);
      const seconds = await secondsLeft(database, limit.key, now);
      throw new OverloadedError(`Too many failed attempts with a wrong password. Try again in ${seconds} s.`, seconds);
    }
    reservations.push(reservation);
  }
  return reservations;
}

async function giveBackAll(database: Database, reservations: readonly Reservation[]): Promise<void> {
  await Promise.all(reservations.map((reservation) => giveBack(database, reservation)));
}

async function rememberAddress({ rateLimit }: Database, key: string, resetsAt: Date): Promise<void> {
  await rateLimit.upsert({ where: { key }, create: { key, count: 1, resetsAt }, update: { resetsAt } });
}

function limitOf(max: number, key: string): CounterLimit {
  return { key, max, windowMs: WINDOW_MS };
}

/** The key of a counter: with the server's secret, since whoever reads the database could find out addresses from a plain hash by trying all. */
export function counterKey(secret: KeyObject, ...parts: readonly (string | number | null)[]): string {
  return createHmac('sha256', secret).update(JSON.stringify(parts)).digest('hex');
}

/** Removes the counters whose window has passed, and the addresses that were not used for long. */
export async function forgetAttempts({ rateLimit }: Database, stopping: AbortSignal): Promise<void> {
  const where = { resetsAt: { lt: new Date() } };
  await removeInBatches(
    {
      find: async (take) => (await rateLimit.findMany({ where, take, select: { key: true } })).map(({ key }) => key),
      remove: (keys) => rateLimit.deleteMany({ where: { key: { in: keys }, ...where } }),
    },
    stopping,
  );
}
