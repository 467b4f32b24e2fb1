import { createHash } from 'node:crypto';
import type { Services } from '../context.ts';
import { removeInBatches } from '../database/cleanup.ts';
import type { Database } from '../database/open.ts';
import { AppError, CredentialsError } from '../errors.ts';
import { usernameKey } from './usernames.ts';

/** For how long failed attempts are remembered after the first of them, in milliseconds. */
const WINDOW_MS = 5 * 60 * 1000;

/** Who tries to sign in, and from where as far as the door knows. */
export interface Attempt {
  readonly username: string;
  readonly address: string;
}

/**
 * Lets somebody try to sign in, unless too many attempts with the same name from the same address have failed. The count is kept in the
 * database, so that all nodes share it.
 *
 * @throws {AppError} `RATE_LIMITED` after too many failures, until the window has passed
 */
export async function limitAttempts<Result>(
  { database, tokens, runOutsideTransaction }: Services,
  { username, address }: Attempt,
  attempt: () => Promise<Result>,
): Promise<Result> {
  const name = JSON.stringify(['sign in', usernameKey(username), address]);
  const key = createHash('sha256').update(name).digest('hex');
  const now = new Date();
  const failures = await database.rateLimit.findUnique({ where: { key } });
  if (failures && failures.resetsAt > now && failures.count >= tokens.maxFailedSignIns) {
    throw new AppError('RATE_LIMITED', 'Too many failed attempts to sign in. Try again in a few minutes.');
  }
  try {
    return await attempt();
  } catch (error) {
    if (error instanceof CredentialsError) {
      await runOutsideTransaction((lasting) => countFailure(lasting, key, now));
    }
    throw error;
  }
}

async function countFailure(database: Database, key: string, now: Date): Promise<void> {
  await database.rateLimit.deleteMany({ where: { key, resetsAt: { lte: now } } });
  await database.rateLimit.upsert({
    where: { key },
    create: { key, count: 1, resetsAt: new Date(now.getTime() + WINDOW_MS) },
    update: { count: { increment: 1 } },
  });
}

/** Forgets the counts whose window has passed. */
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
