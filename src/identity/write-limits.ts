import type { Context } from '../context.ts';
import type { Database } from '../database/client.ts';
import { type CounterLimit, reserve, secondsUntilReset } from '../database/counters.ts';
import { AppError, OverloadedError } from '../errors.ts';
import { counterKeys } from './attempts.ts';

const WRITE_WINDOW_MS = 5 * 60 * 1000;
const HOUR_MS = 60 * 60 * 1000;

/**
 * Counts a write of this many rows by an anonymous caller; it does nothing for other callers. Call it outside of transactions, before the work of the write.
 *
 * @throws {OverloadedError} after too many such writes from one address within five minutes
 */
export async function limitAnonymousWrite(context: Context, rows = 1): Promise<void> {
  const { viewer, address, writeLimits, tokens } = context;
  // With `ALLOW_ANONYMOUS` off, the write itself fails, so it is not counted.
  if (viewer.kind === 'anonymous' && viewer.sharesOwnerless) {
    const keys = counterKeys(tokens.keys, 'anonymous write', address);
    const limit = { keys, max: writeLimits.maxAnonymousPerAddress, windowMs: WRITE_WINDOW_MS };
    await count(context, limit, 'writes from this address', rows);
  }
}

/**
 * Counts an attempt to create an account, by any caller. Call it outside of transactions, before the password is hashed.
 *
 * @throws {OverloadedError} after too many attempts from one address within an hour
 */
export async function limitSignUp(context: Context): Promise<void> {
  const { address, writeLimits, tokens } = context;
  const keys = counterKeys(tokens.keys, 'sign up', address);
  await count(
    context,
    { keys, max: writeLimits.maxSignUpsPerAddress, windowMs: HOUR_MS },
    'new accounts from this address',
  );
}

/**
 * Counts a search of users by the user with an id, which finds the names of other users.
 *
 * @throws {OverloadedError} after too many searches within five minutes
 */
export async function limitUserSearch(context: Context, userId: number): Promise<void> {
  const { writeLimits, tokens } = context;
  const keys = counterKeys(tokens.keys, 'user search', userId);
  const limit = { keys, max: writeLimits.maxUserSearches, windowMs: WRITE_WINDOW_MS };
  await count(context, limit, 'searches of users');
}

/**
 * Counts a request for a mail to the user with a name, whether or not that user exists, or to the viewer with an id. The limits are for each address, so that no
 * caller uses up the requests of another one. Call it outside of transactions, before the user is read.
 *
 * @throws {OverloadedError} after too many requests from one address within an hour, for one name or id or for any
 */
export async function limitMailRequest(context: Context, nameOrId: string | number): Promise<void> {
  const { address, writeLimits, tokens } = context;
  const from = { keys: counterKeys(tokens.keys, 'mail from', address), max: writeLimits.maxMailsPerAddress };
  await count(context, { ...from, windowMs: HOUR_MS }, 'mails requested from this address');
  const to = { keys: counterKeys(tokens.keys, 'mail to', nameOrId, address), max: writeLimits.maxMailsPerUser };
  await count(context, { ...to, windowMs: HOUR_MS }, 'mails requested with this account');
}

/** Counts a mail for one purpose to an email address, for all accounts with that address; upper and lower case are equal. Returns false after too many within an hour. */
export async function limitRecipient(context: Context, purpose: string, email: string): Promise<boolean> {
  const { database, writeLimits, tokens } = context;
  const keys = counterKeys(tokens.keys, 'mail recipient', purpose, email.toLowerCase());
  return (
    (await exhausted(database, { keys, max: writeLimits.maxMailsPerUser, windowMs: HOUR_MS }, new Date())) === null
  );
}

/** A limit that is counted under each of some keys. */
interface SharedLimit extends Omit<CounterLimit, 'key'> {
  readonly keys: readonly string[];
}

/** Adds an amount to all counters of a limit. Returns the key of the first one that would exceed the limit, or null. */
async function exhausted(
  database: Database,
  { keys, ...limit }: SharedLimit,
  now: Date,
  amount = 1,
): Promise<string | null> {
  for (const key of keys) {
    if (!(await reserve(database, { ...limit, key }, now, amount))) {
      return key;
    }
  }
  return null;
}

async function count(context: Context, limit: SharedLimit, what: string, amount = 1): Promise<void> {
  const { database, telemetry, address, requestId } = context;
  if (amount > limit.max) {
    throw new AppError('COMPLEXITY', `At most ${limit.max} ${what} are accepted at once.`);
  }
  const now = new Date();
  const key = await exhausted(database, limit, now, amount);
  if (key !== null) {
    const seconds = await secondsUntilReset(database, key, now);
    telemetry.report({ kind: 'refused', reason: 'rate_limit', detail: `Too many ${what}.`, address, requestId });
    throw new OverloadedError(`Too many ${what}. Try again in ${seconds} s.`, seconds);
  }
}
