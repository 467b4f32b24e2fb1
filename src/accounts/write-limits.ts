import type { Context } from '../context.ts';
import { type CounterLimit, reserve, secondsLeft } from '../database/counters.ts';
import { OverloadedError } from '../errors.ts';
import { counterKey } from './attempts.ts';

const WRITE_WINDOW_MS = 5 * 60 * 1000;
const SIGN_UP_WINDOW_MS = 60 * 60 * 1000;

/**
 * Counts a write of a caller without a credential, and does nothing for any other. Call it outside of transactions, before anything is done for the write.
 *
 * @throws {OverloadedError} after too many such writes from one address within five minutes
 */
export async function limitAnonymousWrite(context: Context): Promise<void> {
  const { viewer, address, writeLimits, tokens } = context;
  // Where nothing is everybody's, the write is refused without being counted.
  if (viewer.kind === 'anonymous' && viewer.sharesOwnerless) {
    const key = counterKey(tokens.secret, 'anonymous write', address);
    await count(context, { key, max: writeLimits.maxAnonymousPerAddress, windowMs: WRITE_WINDOW_MS }, 'writes');
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
  await count(context, { key, max: writeLimits.maxSignUpsPerAddress, windowMs: SIGN_UP_WINDOW_MS }, 'new accounts');
}

async function count({ database }: Context, limit: CounterLimit, what: string): Promise<void> {
  const now = new Date();
  if (!(await reserve(database, limit, now))) {
    const seconds = await secondsLeft(database, limit.key, now);
    throw new OverloadedError(`Too many ${what} from this address. Try again in ${seconds} s.`, seconds);
  }
}
