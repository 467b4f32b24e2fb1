import type { Context } from '../context.ts';
import { type CounterLimit, reserve, secondsLeft } from '../database/counters.ts';
import { AppError, OverloadedError } from '../errors.ts';
import { counterKey } from './attempts.ts';

const WRITE_WINDOW_MS = 5 * 60 * 1000;
const HOUR_MS = 60 * 60 * 1000;

/**
 * Counts a write of so many rows by a caller without a credential, and does nothing for any other. Call it outside of transactions, before anything is done for the write.
 *
 * @throws {OverloadedError} after too many such writes from one address within five minutes
 */
export async function limitAnonymousWrite(context: Context, rows = 1): Promise<void> {
  const { viewer, address, writeLimits, tokens } = context;
  // Where nothing is everybody's, the write is refused without being counted.
  if (viewer.kind === 'anonymous' && viewer.sharesOwnerless) {
    const key = counterKey(tokens.secret, 'anonymous write', address);
    const limit = { key, max: writeLimits.maxAnonymousPerAddress, windowMs: WRITE_WINDOW_MS };
    await count(context, limit, 'writes from this address', rows);
  }
}

/**
 * Counts an attempt to make an account, whoever the caller is. Call it outside of transactions, before the password is hashed.
 *
 * @throws {OverloadedError} after too many attempts from one address within an hour
 */
export async function limitSignUp(context: Context): Promise<void> {
  const { address, writeLimits, tokens } = context;
  const key = counterKey(tokens.secret, 'sign up', address);
  await count(
    context,
    { key, max: writeLimits.maxSignUpsPerAddress, windowMs: HOUR_MS },
    'new accounts from this address',
  );
}

/**
 * Counts a request for a mail: to the user of a name, whether or not there is one, or by a user to themselves. Nobody uses up the requests of others. Call it
 * outside of transactions, before anything is looked up.
 *
 * @throws {OverloadedError} after too many requests for one name or user from one address, or for anybody from there, within an hour
 */
export async function limitMailRequest(context: Context, nameOrId: string | number): Promise<void> {
  const { address, writeLimits, tokens } = context;
  const from = { key: counterKey(tokens.secret, 'mail from', address), max: writeLimits.maxMailsPerAddress };
  await count(context, { ...from, windowMs: HOUR_MS }, 'mails asked for from this address');
  const to = { key: counterKey(tokens.secret, 'mail to', nameOrId, address), max: writeLimits.maxMailsPerUser };
  await count(context, { ...to, windowMs: HOUR_MS }, 'mails asked for with this account');
}

/** How many mails for one purpose an email address may get within an hour, of all accounts that name it, in any case of letters. */
export function recipientLimit({ writeLimits, tokens }: Context, purpose: string, email: string): CounterLimit {
  const key = counterKey(tokens.secret, 'mail recipient', purpose, email.toLowerCase());
  return { key, max: writeLimits.maxMailsPerUser, windowMs: HOUR_MS };
}

async function count({ database }: Context, limit: CounterLimit, what: string, amount = 1): Promise<void> {
  if (amount > limit.max) {
    throw new AppError('COMPLEXITY', `At most ${limit.max} ${what} are taken at once.`);
  }
  const now = new Date();
  if (!(await reserve(database, limit, now, amount))) {
    const seconds = await secondsLeft(database, limit.key, now);
    throw new OverloadedError(`Too many ${what}. Try again in ${seconds} s.`, seconds);
  }
}
