import type pg from 'pg';
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
import { PostgresAccessReader } from './postgres-access-reader.ts';
import { createLogPool } from './postgres-log-pool.ts';
import { HEADER, type ReplayRow, replayQuery } from './postgres-replay.ts';
import { CHANGES_TOPIC, decidesAccess, FLOORS } from './postgres-triggers.ts';
import { PostgresWakeups } from './postgres-wakeups.ts';

/** The number of replays that read at the same time. The feed has a separate connection, so that replays cannot delay it. */
const REPLAY_CONNECTIONS = 3;
/** The shortest time between two polls, in milliseconds: a busy log is read in larger batches rather than more often. */
const MIN_POLL_INTERVAL_MS = 4;

export interface PostgresLogOptions {
  readonly url: string;
  readonly timeoutMs: number;
  /** The settings that decide which rows viewers see: cursors that were issued under other settings are refused. */
  readonly settings: string;
  readonly models: LoggedModels;
  /** The other processes that write this log, and wake this one. */
  readonly peers: PostgresPeers;
}

interface Head {
  /** The newest position that can be read: no change can still appear before it. */
  readonly position: LogPosition;
  /** The last sequence number that any transaction has drawn. */
  readonly drawn: number;
  /** Whether a running transaction holds the horizon below that number. */
  readonly isHeldBack: boolean;
}

interface HeaderRow extends LogHeader {
  /** The size of both images in bytes. */
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
  readonly #access: PostgresAccessReader;
  #epoch = '';
  /** The last sequence number that the last poll saw; 0 when the horizon was below it. */
  #drawn = 0;

  private constructor({ url, timeoutMs, settings, models, peers }: PostgresLogOptions) {
    this.#peers = peers;
    this.#settings = settings;
    this.#models = models;
    this.#access = new PostgresAccessReader(decidesAccess(models), (row) => this.#changeOf(row));
    this.#feedPool = createLogPool({ url, timeoutMs, max: 1 });
    this.#replayPool = createLogPool({ url, timeoutMs, max: REPLAY_CONNECTIONS });
  }

  /** Opens the log, and reads its epoch. */
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
    await this.#feedPool.query(ENSURE_SENTINEL);
    const { position } = await this.#head();
    this.#access.reset(position.seq);
    return position;
  }

  async poll(request: PollRequest): Promise<Poll> {
    const { after, loads } = request;
    const { position, drawn, isHeldBack } = await this.#head();
    // A writer that was delayed may move the horizon back below the position up to which the log was read.
    const head = position.seq > after.seq ? position : after;
    const isIdle = head.seq === after.seq && drawn === this.#drawn && !isHeldBack;
    if (isIdle && loads.length === 0) {
      return { ...EMPTY_POLL, upTo: head, head };
    }
    const client = await this.#feedPool.connect();
    // The pending query of a broken connection fails as well.
    client.on('error', ignore);
    let isUsable = false;
    try {
      const access = await this.#access.read(client, loads);
      isUsable = true;
      const heldBackSince = isHeldBack ? await this.#oldestBeyond(client, head) : null;
      if (access.hasMoreAccessChanges) {
        return { ...access, head, heldBackSince, changes: [], upTo: after };
      }
      this.#access.advanceTo(head.seq);
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
    // Checked after the read: retention removes the oldest changes first, so while this one exists, no later one was missing.
    if (!(await this.contains(from))) {
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

  async contains(position: LogPosition): Promise<boolean> {
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

  /** Reads the identity of the log; the database under this address may have been replaced by another one. */
  async #identify(): Promise<void> {
    const { rows } = await this.#feedPool.query<{ epoch: string }>('SELECT "epoch" FROM "ChangeEpoch" WHERE "id" = 1');
    this.#epoch = epochOf(rows[0]?.epoch ?? '', this.#settings);
  }

  async #head(): Promise<Head> {
    // The statement's snapshot is older than the horizon, so that it may miss the last changes; the next poll reads them.
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

  /** Returns when the oldest committed change after a position was written. */
  async #oldestBeyond(client: Queryable, { seq }: LogPosition): Promise<number | null> {
    const { rows } = await client.query<LogHeader>({
      name: 'log-oldest-beyond',
      text: 'SELECT "seq", "at" FROM "Change" WHERE "seq" > $1 ORDER BY "seq" LIMIT 1',
      values: [seq],
    });
    return rows[0] ? positionOf(rows[0]).at : null;
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

  /** Returns the change of a row; null for a model that this version does not log. */
  #changeOf(row: LogHeader): Change | null {
    const model = this.#models.get(row.model);
    return model ? new Change(row, model, this.#epoch) : null;
  }
}

const EMPTY_POLL: Omit<Poll, 'upTo' | 'head'> = {
  changes: [],
  accessChanges: [],
  hasMoreAccessChanges: false,
  memberships: [],
  heldBackSince: null,
};

/** Inserts a sentinel row into an empty log: without a row, no position would distinguish it from another log. */
const ENSURE_SENTINEL = `
  DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM "Change") THEN
      PERFORM tidings_hold_floor();
      INSERT INTO "Change" ("model", "rowId", "action") VALUES ('Beginning', 0, 'INSERT');
    END IF;
  END $$`;

function ignore(): void {
  // The pending query of the connection fails with the same error.
}
