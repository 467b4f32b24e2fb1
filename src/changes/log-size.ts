import { setTimeout as pause } from 'node:timers/promises';
import type { Database } from '../database/client.ts';

/** The number of sequence numbers that one statement measures: few enough that requests hardly wait for it. */
const RANGE = 2_000n;
const PAUSE_MS = 2;
/** The storage that a change takes beside the images of its row, indexes included, in bytes. */
const OVERHEAD_BYTES = 250;

/** The changes after the previous range up to and including `upTo`. */
interface MeasuredRange {
  readonly upTo: bigint;
  readonly bytes: number;
}

/** Returns the age of the oldest change in seconds; 0 when the log is empty. */
export async function oldestAgeS({ change }: Database): Promise<number> {
  const oldest = await change.findFirst({ orderBy: { seq: 'asc' }, select: { at: true } });
  return oldest ? Math.max(0, Date.now() - oldest.at.getTime()) / 1000 : 0;
}

/** Measures the size of the log in bytes; each change is measured once. */
export class LogSize {
  readonly #database: Database;
  /** The complete ranges, oldest first. */
  #ranges: MeasuredRange[] = [];

  constructor(database: Database) {
    this.#database = database;
  }

  /** Returns an upper bound of the log's size in bytes: the size of the file, or of the table with its indexes. */
  async upperBound(): Promise<number> {
    const [row] = await ('$isPostgres' in this.#database
      ? this.#database.$queryRaw<{ bytes: bigint }[]>`SELECT pg_total_relation_size('"Change"') AS "bytes"`
      : this.#database.$queryRaw<{ bytes: bigint }[]>`
          SELECT p."page_count" * s."page_size" AS "bytes" FROM pragma_page_count() AS p, pragma_page_size() AS s`);
    return Number(row?.bytes ?? 0);
  }

  /** Returns the sequence number up to which changes have to be removed so that the rest has at most `maxBytes`; 0 when none has to be removed. */
  async findExcess(maxBytes: number, stopping: AbortSignal): Promise<bigint> {
    const bounds = await this.#database.change.aggregate({ _min: { seq: true }, _max: { seq: true } });
    const { _min: oldest, _max: newest } = bounds;
    if (oldest.seq === null || newest.seq === null) {
      return 0n;
    }
    const first = oldest.seq;
    this.#ranges = this.#ranges.filter(({ upTo }) => upTo >= first);
    let from = this.#ranges.at(-1)?.upTo ?? first - 1n;
    while (from + RANGE <= newest.seq && !stopping.aborted) {
      this.#ranges.push({ upTo: from + RANGE, bytes: await this.#measure(from, from + RANGE) });
      from += RANGE;
      await pause(PAUSE_MS, undefined, { ref: false });
    }
    let total = await this.#measure(from, newest.seq);
    for (const range of this.#ranges.toReversed()) {
      total += range.bytes;
      if (total > maxBytes) {
        return range.upTo;
      }
    }
    return 0n;
  }

  async #measure(from: bigint, upTo: bigint): Promise<number> {
    const [row] = await this.#database.$queryRaw<{ bytes: bigint | number | null }[]>`
      SELECT sum(coalesce(octet_length("before"), 0) + coalesce(octet_length("after"), 0) + ${OVERHEAD_BYTES}) AS "bytes"
      FROM "Change" WHERE "seq" > ${from} AND "seq" <= ${upTo}`;
    return Number(row?.bytes ?? 0);
  }
}
