import type pg from 'pg';
import type { Change, Images, LogHeader } from './change.ts';
import type { Poll } from './log.ts';
import type { MembershipLoad, MembershipRow } from './memberships.ts';
import { loadMemberships } from './postgres-memberships.ts';
import { HEADER } from './postgres-replay.ts';

/** The number of access changes that one poll returns. */
const MAX_ACCESS_CHANGES = 1_000;

type AccessPart = Pick<Poll, 'accessChanges' | 'hasMoreAccessChanges' | 'memberships'>;

/** Reads each committed access change once, also above the horizon, where transactions do not commit in the order of their sequence numbers. */
export class PostgresAccessReader {
  readonly #condition: string;
  readonly #toChange: (row: LogHeader) => Change | null;
  /** Every access change up to this number was reported. */
  #readTo = 0;
  /** The access changes after it that were reported: their transactions committed before others with lower numbers. */
  readonly #readBeyond = new Set<number>();

  /** `condition` selects the access changes in SQL; `toChange` returns the change of a row. */
  constructor(condition: string, toChange: (row: LogHeader) => Change | null) {
    this.#condition = condition;
    this.#toChange = toChange;
  }

  /** Starts over: every access change up to this number counts as reported. */
  reset(seq: number): void {
    this.#readTo = seq;
    this.#readBeyond.clear();
  }

  /** Returns the access changes that were not reported, and the memberships of loads with all of them applied: both from one snapshot. */
  async read(client: pg.PoolClient, loads: readonly MembershipLoad[]): Promise<AccessPart> {
    if (loads.length > 0) {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    }
    const { rows } = await client.query<LogHeader & Images>({
      name: 'log-access',
      text: `SELECT ${HEADER}, "before", "after" FROM "Change"
        WHERE "seq" > $1 AND ${this.#condition} AND "seq" <> ALL ($2::bigint[]) ORDER BY "seq" LIMIT $3`,
      values: [this.#readTo, [...this.#readBeyond], MAX_ACCESS_CHANGES],
    });
    const hasMoreAccessChanges = rows.length === MAX_ACCESS_CHANGES;
    const memberships: MembershipRow[] = [];
    if (!hasMoreAccessChanges) {
      memberships.push(...(await loadMemberships(client, loads)));
    }
    if (loads.length > 0) {
      await client.query('COMMIT');
    }
    const accessChanges = rows.flatMap((row) => {
      this.#readBeyond.add(Number(row.seq));
      const change = this.#toChange(row);
      change?.setImages(row);
      return change ?? [];
    });
    return { accessChanges, hasMoreAccessChanges, memberships };
  }

  /** Records that every access change up to the horizon was reported. */
  advanceTo(seq: number): void {
    this.#readTo = Math.max(this.#readTo, seq);
    for (const reported of this.#readBeyond) {
      if (reported <= seq) {
        this.#readBeyond.delete(reported);
      }
    }
  }
}
