import pg from 'pg';
import { aloneInTransaction } from '../database/migrate-postgres.ts';
import type { PostgresPeers } from '../database/postgres-peers.ts';
import { AppError } from '../errors.ts';
import { epochOf, ORIGIN, type Position } from './cursor.ts';
import type { Change, ChangeLog, ChatSnapshot, Slice } from './log.ts';
import { type LoggedModel, loggedModels, type RowImage, readImage } from './models.ts';
import { CHANGES_TOPIC, image, installPostgresTriggers, OF_RIGHTS } from './postgres-triggers.ts';
import { PostgresWaker } from './postgres-waker.ts';
import { type LogRow, positionOf, readChange } from './rows.ts';

/** Reads of the log by this process that may run at a time. */
const CONNECTIONS = 4;
/** How much longer than the server itself a statement may take before its connection counts as dead, in milliseconds. */
const GRACE_MS = 5_000;

export interface PostgresLogOptions {
  readonly url: string;
  readonly timeoutMs: number;
  /** Names the settings that decide who sees what: cursors made under others are not continued. */
  readonly rules: string;
  /** The other processes that read and write this log. */
  readonly peers: PostgresPeers;
}

/** The last change to which nothing can be added in front any more, and whether there are others beyond it. */
interface Head {
  readonly position: Position;
  readonly isLagging: boolean;
}

/** The change log of a PostgreSQL database, read below the horizon that {@link installPostgresTriggers} explains. */
export class PostgresLog implements ChangeLog {
  readonly #pool: pg.Pool;
  readonly #waker = new PostgresWaker();
  readonly #peers: PostgresPeers;
  readonly #rules: string;
  readonly #models: ReadonlyMap<string, LoggedModel> = loggedModels();
  #epoch = '';

  private constructor({ url, timeoutMs, rules, peers }: PostgresLogOptions) {
    this.#peers = peers;
    this.#rules = rules;
    this.#pool = new pg.Pool({
      connectionString: url,
      max: CONNECTIONS,
      connectionTimeoutMillis: timeoutMs,
      statement_timeout: timeoutMs,
      query_timeout: timeoutMs + GRACE_MS,
      keepAlive: true,
    });
    // A connection that breaks is told by the query that needs it; the pool makes another one.
    this.#pool.on('error', () => undefined);
  }

  static async open(options: PostgresLogOptions): Promise<PostgresLog> {
    await aloneInTransaction(options.url, installPostgresTriggers);
    const log = new PostgresLog(options);
    await log.#identify(log.#pool);
    return log;
  }

  get epoch(): string {
    return this.#epoch;
  }

  async read(
    from: Position,
    { limit, models, until }: { limit: number; models?: readonly string[]; until?: Position },
  ): Promise<Slice> {
    const head = until ? { position: until, isLagging: false } : await this.#head();
    // A writer that was held up may bring the horizon back to where the log has been read already.
    const end = head.position.seq > from.seq ? head.position : from;
    const [rows, ahead] = await Promise.all([
      this.#rowsBetween(from, end, limit, models),
      head.isLagging ? this.#rightsBeyond(end) : [],
    ]);
    const [first, ...following] = rows;
    if (!first || Number(first.seq) !== from.seq || positionOf(first).at !== from.at) {
      throw new AppError('RESYNC_REQUIRED');
    }
    const last = following.at(-1);
    const more = following.length === limit;
    return { changes: this.#changesOf(following), upTo: last && more ? positionOf(last) : end, more, ahead };
  }

  async holds(position: Position): Promise<boolean> {
    const [row] = await this.#rowsBetween(position, position, 0);
    return row !== undefined && positionOf(row).at === position.at;
  }

  async snapshotChats(): Promise<ChatSnapshot> {
    const client = await this.#pool.connect();
    // What breaks is told by the query that waits.
    client.on('error', ignore);
    try {
      await this.#identify(client);
      await client.query(ENSURE_BEGINNING);
      // First the position, then the rows: what they hold beyond it is told once more, in order, which changes nothing.
      const { position } = await this.#head();
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const chats = await this.#rowsOf(client, 'ChatSession');
      const members = await this.#rowsOf(client, 'ChatMember');
      await client.query('COMMIT');
      client.off('error', ignore);
      client.release();
      return { position, chats, members };
    } catch (error) {
      client.release(true);
      throw error;
    }
  }

  onWake(wake: () => void): void {
    this.#waker.start(this.#peers, wake);
  }

  announce(): void {
    this.#peers.tell(CHANGES_TOPIC, '');
  }

  async close(): Promise<void> {
    this.#waker.stop();
    await this.#pool.end();
  }

  /** Which log this is; another one may have taken its place under the same address. */
  async #identify(client: pg.Pool | pg.PoolClient): Promise<void> {
    const { rows } = await client.query<{ epoch: string }>('SELECT "epoch" FROM "ChangeEpoch" WHERE "id" = 1');
    this.#epoch = epochOf(rows[0]?.epoch ?? '', this.#rules);
  }

  async #head(): Promise<Head> {
    const { rows: horizons } = await this.#pool.query<{ horizon: string; drawn: string }>(
      'SELECT "horizon", "drawn" FROM tidings_horizon()',
    );
    const [{ horizon, drawn } = { horizon: '0', drawn: '0' }] = horizons;
    const isLagging = horizon !== drawn;
    this.#waker.setLagging(isLagging);
    const { rows } = await this.#pool.query<LogRow>(
      'SELECT "seq", "at" FROM "Change" WHERE "seq" <= $1 ORDER BY "seq" DESC LIMIT 1',
      [horizon],
    );
    return { position: rows[0] ? positionOf(rows[0]) : ORIGIN, isLagging };
  }

  /** The row at `from`, if it is there still, and those of some models that follow. */
  async #rowsBetween(
    from: Position,
    to: Position,
    limit: number,
    models: readonly string[] | null = null,
  ): Promise<LogRow[]> {
    const { rows } = await this.#pool.query<LogRow>(
      `SELECT * FROM "Change"
       WHERE "seq" BETWEEN $1 AND $2 AND ($3::text[] IS NULL OR "model" = ANY($3) OR "seq" = $1)
       ORDER BY "seq" LIMIT $4`,
      [from.seq, to.seq, models, limit + 1],
    );
    return rows;
  }

  async #rightsBeyond({ seq }: Position): Promise<Change[]> {
    const { rows } = await this.#pool.query<LogRow>(
      `SELECT * FROM "Change" WHERE "seq" > $1 AND ${OF_RIGHTS} ORDER BY "seq"`,
      [seq],
    );
    return this.#changesOf(rows);
  }

  #changesOf(rows: readonly LogRow[]): Change[] {
    return rows.flatMap((row) => readChange(row, this.#models, this.epoch) ?? []);
  }

  async #rowsOf(client: pg.PoolClient, name: string): Promise<RowImage[]> {
    const model = this.#models.get(name);
    if (!model) {
      return [];
    }
    const { rows } = await client.query<{ image: string }>(
      `SELECT ${image(model, 'r')} AS "image" FROM "${name}" AS r ORDER BY "id"`,
    );
    return rows.map((row) => readImage(model, row.image));
  }
}

/** A log that somebody has emptied gets a change to stand at: one without any would have no place that tells it from others. */
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
