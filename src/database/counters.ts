import { sql } from 'kysely';
import type { Database } from './client.ts';
import { findRow, writeRows } from './rows.ts';

/** A rate limit: the largest count within a window of time that begins with the first count. */
export interface CounterLimit {
  readonly key: string;
  /** At least 1. */
  readonly max: number;
  readonly windowMs: number;
}

/** One unit of a counter, in the window in which it was counted. */
export interface Reservation {
  readonly key: string;
  readonly resetsAt: Date;
}

/**
 * Adds `amount` to a counter, which must not be more than the limit; returns null when the counter would exceed the limit. It is one statement, so that of any
 * number of callers in any number of processes exactly `max` succeed. A window whose end is later than any correct clock can have set it counts as over.
 */
export async function reserve(
  database: Database,
  { key, max, windowMs }: CounterLimit,
  now: Date,
  amount = 1,
): Promise<Reservation | null> {
  const [row] = await writeRows(database, 'RateLimit', (encode) => {
    const resetsAt = encode(new Date(now.getTime() + windowMs));
    // Twice the window, since the clocks of the processes may differ.
    const latest = encode(new Date(now.getTime() + 2 * windowMs));
    const isOpen = sql`"RateLimit"."resetsAt" > ${encode(now)} and "RateLimit"."resetsAt" < ${latest}`;
    return sql`insert into "RateLimit" ("key", "count", "resetsAt") values (${key}, ${amount}, ${resetsAt})
      on conflict ("key") do update set
        "count" = case when ${isOpen} then "RateLimit"."count" + ${amount} else ${amount} end,
        "resetsAt" = case when ${isOpen} then "RateLimit"."resetsAt" else excluded."resetsAt" end
      where not (${isOpen}) or "RateLimit"."count" + ${amount} <= ${max}
      returning "key", "count", "resetsAt"`;
  });
  return row ? { key, resetsAt: row.resetsAt } : null;
}

/** Reverses a {@link reserve} of one unit, unless its window is over. */
export async function refund(database: Database, { key, resetsAt }: Reservation): Promise<void> {
  await database.rateLimit.updateMany({
    where: { key, resetsAt, count: { gt: 0 } },
    data: { count: { decrement: 1 } },
  });
}

/** Returns the number of whole seconds until the window of a counter is over, at least 1. */
export async function secondsUntilReset(database: Database, key: string, now: Date): Promise<number> {
  const counter = await findRow(database, 'RateLimit', { key });
  return Math.max(1, Math.ceil(((counter?.resetsAt ?? now).getTime() - now.getTime()) / 1000));
}
