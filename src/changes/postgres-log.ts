import pg from 'pg';
import type { PostgresPeers } from '../database/postgres-peers.ts';
import { AppError } from '../errors.ts';
import { Change, type Images, type LogHeader, positionOf } from './change.ts';
import { epochOf, LOG_START, type LogPosition } from './cursor.ts';
import type {
  ChangeLog,
  HorizonHolder,
  Poll,
  PollRequest,
  ReadLimits,
  ReplayBatch,
  ReplayRange,
  ReplaySelection,
} from './log.ts';
import type { LoggedModels } from './logged-models.ts';
import type { MembershipLoad, MembershipRow } from './memberships.ts';
import { loadMemberships } from './postgres-memberships.ts';
import { HEADER, type ReplayRow, replayQuery } from './postgres-replay.ts';
import { CHANGES_TOPIC, decidesAccess, FLOORS } from './postgres-triggers.ts';
import { PostgresWakeups } from './postgres-wakeups.ts';

/** How many replays read at the same time. The feed reads over a connection of its own, which they cannot keep waiting. */
const REPLAY_CONNECTIONS = 3;
/** The shortest time between two polls: a busy log is read in larger batches rather than more often. */
const MIN_POLL_INTERVAL_MS = 4;
/** How many access changes one poll returns. */
const MAX_ACCESS_CHANGES = 1_000;
/** How much longer than the server itself a statement may take before its connection counts as dead, in milliseconds. */
const GRACE_MS = 5_000;

export interface PostgresLogOptions {
  readonly url: string;
  readonly timeoutMs: number;
  /** The settings that decide who sees what: a cursor that was made under others is not continued. */
  readonly settings: string;
  readonly models: LoggedModels;
  /** The other processes that read and write this log. */
  readonly peers: PostgresPeers;
}

interface Head {
  /** The newest position that can be read: no change can still appear before it. */
  readonly position: LogPosition;
  /** The last number that any transaction drew. */
  readonly drawn: number;
  /** Whether a transaction that still runs keeps back numbers that were drawn. */
  readonly isHeldBack: boolean;
}

interface HeaderRow extends LogHeader {
  /** The bytes of both images. */
  readonly bytes: number;
}

type Queryable = Pick<pg.ClientBase, 'query'>;

/** The change log of a PostgreSQL database, read below the horizon that `postgres-triggers.ts` explains. */
export class PostgresLog implements ChangeLog {
  readonly replayConcurrency = REPLAY_CONNECTIONS;
  readonly minPollIntervalMs = MIN_POLL_INTERVAL_MS;
  readonly #feedPool: pg.Pool;
  readonly #replayPool: pg.Pool;
  readonly #wakeups = new PostgresWakeups();
  readonly #peers: PostgresPeers;
  readonly #settings: string;
  readonly #models: LoggedModels;
  readonly #decidesAccess: string;
  #epoch = '';
  /** Every access change up to here was reported. */
  #accessReadTo = 0;
  /** The access changes beyond it that were reported: their transactions overtook others that still run. */
  readonly #accessReadBeyond = new Set<number>();
  #drawn = 0;

  private constructor({ url, timeoutMs, settings, models, peers }: PostgresLogOptions) {
    this.#peers = peers;
    this.#settings = settings;
    this.#models = models;
    this.#decidesAccess = decidesAccess(models);
    const connections = (max: number): pg.Pool => {
      const pool = new pg.Pool({
        connectionString: url,
        max,
        connectionTimeoutMillis: timeoutMs,
        statement_timeout: timeoutMs,
        query_timeout: timeoutMs + GRACE_MS,
        keepAlive: true,
        // Before the connection is used for anything else.
        onConnect: (client) => client.query(PLANNING),
      });
      // The query that needs a broken connection reports it; the pool makes another one.
      pool.on('error', ignore);
      return pool;
    };
    this.#feedPool = connections(1);
    this.#replayPool = connections(REPLAY_CONNECTIONS);
  }

  static async open(options: PostgresLogOptions): Promise<PostgresLog> {
    const log = new PostgresLog(options);
    await log.#identify();
    return log;
  }

  get epoch(): string {
    return this.#epoch;
  }

  async begin(): Promise<LogPosition> {
    await this.#identify();
    await this.#feedPool.query(ENSURE_BEGINNING);
    const { position } = await this.#head();
    this.#accessReadTo = position.seq;
    this.#accessReadBeyond.clear();
    return position;
  }

  async poll(request: PollRequest): Promise<Poll> {
    const { after, loads } = request;
    const { position, drawn, isHeldBack } = await this.#head();
    // A writer that was held up may bring the horizon back to where the log has been read already.
    const head = position.seq > after.seq ? position : after;
    const isIdle = head.seq === after.seq && drawn === this.#drawn && !isHeldBack;
    if (isIdle && loads.length === 0) {
      return { ...NOTHING_NEW, upTo: head, head };
    }
    const client = await this.#feedPool.connect();
    // The query that waits on a connection that breaks fails by itself.
    client.on('error', ignore);
    let isUsable = false;
    try {
      const access = await this.#readAccess(client, loads);
      isUsable = true;
      const heldBackSince = isHeldBack ? await this.#oldestBeyond(client, head) : null;
      if (access.hasMoreAccessChanges) {
        return { ...access, head, heldBackSince, changes: [], upTo: after };
      }
      this.#forgetAccessUpTo(head.seq);
      const read = await this.#readHeaders(client, after, head, request);
      this.#drawn = isHeldBack ? 0 : drawn;
      return { ...access, head, heldBackSince, ...read };
    } finally {
      client.off('error', ignore);
      client.release(!isUsable);
    }
  }

  async loadImages(changes: readonly Change[]): Promise<void> {
    await this.#loadImages(this.#feedPool, changes);
  }

  async replay(
    selection: ReplaySelection,
    { from, until, includesFrom = false }: ReplayRange,
    limits: ReadLimits,
  ): Promise<ReplayBatch> {
    const start = includesFrom ? from.seq - 1 : from.seq;
    const { rows } = await this.#replayPool.query<ReplayRow>(replayQuery(selection, start, until.seq, limits));
    // Asked afterwards: the oldest changes are removed first, so while this one is there, none was missing behind it.
    if (!(await this.holds(from))) {
      throw new AppError('RESYNC_REQUIRED');
    }
    const changes = rows.flatMap((row) => {
      const change = this.#changeOf(row);
      change?.setImages(row);
      return change ?? [];
    });
    const last = rows.at(-1);
    const isCut = last !== undefined && (rows.length === limits.rows || Number(last.found) > rows.length);
    return { changes, upTo: isCut ? positionOf(last) : until };
  }

  async holds(position: LogPosition): Promise<boolean> {
    const { rows } = await this.#replayPool.query<LogHeader>({
      name: 'log-holds',
      text: 'SELECT "seq", "at" FROM "Change" WHERE "seq" = $1',
      values: [position.seq],
    });
    return rows[0] !== undefined && positionOf(rows[0]).at === position.at;
  }

  async findHorizonHolder(): Promise<HorizonHolder | null> {
    const { rows } = await this.#replayPool.query<{ pid: number; age: number }>(
      `SELECT a.pid, extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS "age"
       FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
       WHERE ${FLOORS} ORDER BY l.classid, l.objid LIMIT 1`,
    );
    return rows[0] ? { pid: rows[0].pid, ageS: Math.max(0, rows[0].age) } : null;
  }

  onWake(wake: () => void): void {
    this.#wakeups.start(this.#peers, wake);
  }

  announce(): void {
    this.#peers.send(CHANGES_TOPIC, '');
  }

  async close(): Promise<void> {
    this.#wakeups.stop();
    await this.#feedPool.end();
    await this.#replayPool.end();
  }

  /** Reads which log this is; another one may have taken its place under the same address. */
  async #identify(): Promise<void> {
    const { rows } = await this.#feedPool.query<{ epoch: string }>('SELECT "epoch" FROM "ChangeEpoch" WHERE "id" = 1');
    this.#epoch = epochOf(rows[0]?.epoch ?? '', this.#settings);
  }

  async #head(): Promise<Head> {
    // The statement sees rows as they were before the horizon was read, so it may miss the last ones; the next poll reads them.
    const { rows } = await this.#feedPool.query<LogHeader & { horizon: string; drawn: string }>({
      name: 'log-head',
      text: `SELECT h."horizon", h."drawn", c."seq", c."at" FROM tidings_horizon() AS h LEFT JOIN LATERAL
        (SELECT "seq", "at" FROM "Change" WHERE "seq" <= h."horizon" ORDER BY "seq" DESC LIMIT 1) AS c ON true`,
    });
    const [row] = rows;
    const isHeldBack = row !== undefined && row.horizon !== row.drawn;
    this.#wakeups.setHeldBack(isHeldBack);
    return { position: row?.seq == null ? LOG_START : positionOf(row), drawn: Number(row?.drawn ?? 0), isHeldBack };
  }

  /** Reads the access changes that were not reported, and memberships as they are with all of them: both in one snapshot. */
  async #readAccess(
    client: pg.PoolClient,
    loads: readonly MembershipLoad[],
  ): Promise<Pick<Poll, 'accessChanges' | 'hasMoreAccessChanges' | 'memberships'>> {
    if (loads.length > 0) {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    }
    const { rows } = await client.query<LogHeader & Images>({
      name: 'log-access',
      text: `SELECT ${HEADER}, "before", "after" FROM "Change"
        WHERE "seq" > $1 AND ${this.#decidesAccess} AND "seq" <> ALL ($2::bigint[]) ORDER BY "seq" LIMIT $3`,
      values: [this.#accessReadTo, [...this.#accessReadBeyond], MAX_ACCESS_CHANGES],
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
      this.#accessReadBeyond.add(Number(row.seq));
      const change = this.#changeOf(row);
      change?.setImages(row);
      return change ?? [];
    });
    return { accessChanges, hasMoreAccessChanges, memberships };
  }

  /** When the oldest committed change beyond a position was written. */
  async #oldestBeyond(client: Queryable, { seq }: LogPosition): Promise<number | null> {
    const { rows } = await client.query<LogHeader>({
      name: 'log-oldest-beyond',
      text: 'SELECT "seq", "at" FROM "Change" WHERE "seq" > $1 ORDER BY "seq" LIMIT 1',
      values: [seq],
    });
    return rows[0] ? positionOf(rows[0]).at : null;
  }

  #forgetAccessUpTo(seq: number): void {
    this.#accessReadTo = Math.max(this.#accessReadTo, seq);
    for (const reported of this.#accessReadBeyond) {
      if (reported <= seq) {
        this.#accessReadBeyond.delete(reported);
      }
    }
  }

  async #readHeaders(
    client: Queryable,
    after: LogPosition,
    end: LogPosition,
    { needsImages, limits }: PollRequest,
  ): Promise<ReplayBatch> {
    const { rows } = await client.query<HeaderRow>({
      name: 'log-headers',
      text: `SELECT ${HEADER}, coalesce(octet_length("before"), 0) + coalesce(octet_length("after"), 0) AS "bytes"
        FROM "Change" WHERE "seq" BETWEEN $1 AND $2 ORDER BY "seq" LIMIT $3`,
      values: [after.seq, end.seq, limits.rows + 1],
    });
    const [first, ...following] = rows;
    if (!first || Number(first.seq) !== after.seq || positionOf(first).at !== after.at) {
      throw new AppError('RESYNC_REQUIRED');
    }
    const changes: Change[] = [];
    const needed: Change[] = [];
    let upTo = following.length === limits.rows ? positionOf(following.at(-1) ?? first) : end;
    let bytes = 0;
    for (const row of following) {
      const change = this.#changeOf(row);
      if (change) {
        changes.push(change);
        if (needsImages(change)) {
          needed.push(change);
          bytes += row.bytes;
        }
      }
      if (bytes >= limits.bytes) {
        upTo = positionOf(row);
        break;
      }
    }
    await this.#loadImages(client, needed);
    return { changes, upTo };
  }

  async #loadImages(client: Queryable, changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) {
      return;
    }
    const { rows } = await client.query<Images & { seq: string }>({
      name: 'log-images',
      text: 'SELECT "seq", "before", "after" FROM "Change" WHERE "seq" = ANY($1::bigint[])',
      values: [changes.map(({ seq }) => seq)],
    });
    const found = new Map(rows.map((row) => [Number(row.seq), row]));
    for (const change of changes) {
      change.setImages(found.get(change.seq) ?? { before: null, after: null });
    }
  }

  /** The change of a row; null when it is one of a model that this program does not log. */
  #changeOf(row: LogHeader): Change | null {
    const model = this.#models.get(row.model);
    return model ? new Change(row, model, this.#epoch) : null;
  }
}

const NOTHING_NEW: Omit<Poll, 'upTo' | 'head'> = {
  changes: [],
  accessChanges: [],
  hasMoreAccessChanges: false,
  memberships: [],
  heldBackSince: null,
};

/** Plans are kept, and those that were made while the log was short would read all of it when it is long. */
const PLANNING = 'SET enable_seqscan = off; SET enable_bitmapscan = off';

/** A log that somebody has emptied gets a change to stand at: one without any would have no position that distinguishes it from others. */
const ENSURE_BEGINNING = `
  DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM "Change") THEN
      PERFORM tidings_hold_floor();
      INSERT INTO "Change" ("model", "rowId", "action") VALUES ('Beginning', 0, 'INSERT');
    END IF;
  END $$`;

function ignore(): void {
  // The query that waits on the connection fails, too.
}
