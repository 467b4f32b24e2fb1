import { sql } from 'kysely';
import type { Database } from './open.ts';
import { findRow, writeRows } from './rows.ts';

/** How often something may be counted within a window of time that begins with the first count. */
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
 * Counts so many more, no more than the limit itself, unless the counter would exceed its limit; returns null then. It is one statement, so that of any number of callers in any number of
 * processes exactly `max` succeed. A window that ends later than the clock can explain was written under a wrong clock, and counts as over.
 */
export async function reserve(
  database: Database,
  { key, max, windowMs }: CounterLimit,
  now: Date,
  amount = 1,
): Promise<Reservation | null> {
  const [row] = await writeRows(database, 'RateLimit', (encode) => {
    const resetsAt = encode(new Date(now.getTime() + windowMs));
    // Twice the window: the clocks of the processes may differ.
    const latest = encode(new Date(now.getTime() + 2 * windowMs));
    const isRunning = sql`"RateLimit"."resetsAt" > ${encode(now)} and "RateLimit"."resetsAt" < ${latest}`;
    return sql`insert into "RateLimit" ("key", "count", "resetsAt") values (${key}, ${amount}, ${resetsAt})
      on conflict ("key") do update set
        "count" = case when ${isRunning} then "RateLimit"."count" + ${amount} else ${amount} end,
        "resetsAt" = case when ${isRunning} then "RateLimit"."resetsAt" else excluded."resetsAt" end
      where not (${isRunning}) or "RateLimit"."count" + ${amount} <= ${max}
      returning "key", "count", "resetsAt"`;
  });
  return row ? { key, resetsAt: row.resetsAt } : null;
}

/** Takes back what {@link reserve} counted, unless its window is over by now. */
export async function giveBack(database: Database, { key, resetsAt }: Reservation): Promise<void> {
  await database.rateLimit.updateMany({
    where: { key, resetsAt, count: { gt: 0 } },
    data: { count: { decrement: 1 } },
  });
}

/** In how many whole seconds the window of a counter is over, at least 1. */
export async function secondsLeft(database: Database, key: string, now: Date): Promise<number> {
  const counter = await findRow(database, 'RateLimit', { key });
  return Math.max(1, Math.ceil(((counter?.resetsAt ?? now).getTime() - now.getTime()) / 1000));
}
