import Sqlite from 'better-sqlite3';
import { BUSY_TIMEOUT_MS } from '../database/migrate-sqlite.ts';
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
import { accessModels, type LoggedModels } from './logged-models.ts';
import type { MembershipLoad, MembershipRow } from './memberships.ts';

/** The interval of checking whether another connection wrote, in milliseconds; one check takes about two microseconds. */
const WAKE_INTERVAL_MS = 20;
/** The shortest time between two polls, in milliseconds: without it, a process that writes continuously spends a tenth of its time on polls. */
const MIN_POLL_INTERVAL_MS = 2;
/** The number of access changes that one poll returns. */
const MAX_ACCESS_CHANGES = 1_000;
const HEADER = '"seq", "at", "model", "rowId", "action", "scope", "otherScope"';

export interface SqliteLogOptions {
  readonly path: string;
  /** The settings that decide which rows viewers see: cursors that were issued under other settings are refused. */
  readonly settings: string;
  readonly models: LoggedModels;
}

/** The change log of a SQLite file, read over a separate connection. SQLite runs one writer at a time, so `seq` is the order of commits. */
export class SqliteLog implements ChangeLog {
  /** Reads block the process, so concurrent replays would gain nothing. */
  readonly replayConcurrency = 1;
  readonly minPollIntervalMs = MIN_POLL_INTERVAL_MS;
  readonly #database: Sqlite.Database;
  readonly #models: LoggedModels;
  readonly #settings: string;
  readonly #statements = new Map<string, Sqlite.Statement>();
  readonly #accessModels: string;
  #epoch = '';
  /** The position up to which access changes were reported. */
  #accessReadTo = 0;
  #wakeTimer: NodeJS.Timeout | null = null;

  constructor({ path, settings, models }: SqliteLogOptions) {
    this.#database = new Sqlite(path, { timeout: BUSY_TIMEOUT_MS });
    this.#settings = settings;
    this.#models = models;
    this.#accessModels = accessModels(models)
      .map((name) => `'${name}'`)
      .join(', ');
    this.#identify();
  }

  get epoch(): string {
    return this.#epoch;
  }

  async begin(): Promise<LogPosition> {
    this.#identify();
    const head = this.#head();
    this.#accessReadTo = head.seq;
    return head;
  }

  async poll(request: PollRequest): Promise<Poll> {
    return this.#database.transaction(() => this.#poll(request))();
  }

  async loadImages(changes: readonly Change[]): Promise<void> {
    for (const change of changes) {
      change.setImages(this.#imagesOf(change));
    }
  }

  async replay(
    selection: ReplaySelection,
    { from, until, includesFrom = false }: ReplayRange,
    limits: ReadLimits,
  ): Promise<ReplayBatch> {
    return this.#database.transaction(() => {
      this.#requirePosition(from);
      const seqs = this.#select(selection, includesFrom ? from.seq - 1 : from.seq, until.seq, limits.rows);
      const changes: Change[] = [];
      let bytes = 0;
      let last: LogPosition = until;
      for (const [index, seq] of seqs.entries()) {
        const header = this.#one<LogHeader>(`SELECT ${HEADER} FROM "Change" WHERE "seq" = ?`, seq);
        const change = header && this.#changeOf(header);
        if (change) {
          change.setImages(this.#imagesOf(change));
          changes.push(change);
          bytes += change.size;
        }
        const isFull = bytes >= limits.bytes || index === limits.rows - 1;
        if (isFull && header) {
          last = positionOf(header);
          break;
        }
      }
      return { changes, upTo: last };
    })();
  }

  async contains(position: LogPosition): Promise<boolean> {
    return this.#contains(position);
  }

  async findHorizonHolder(): Promise<HorizonHolder | null> {
    return null;
  }

  onWake(wake: () => void, confirmUnchanged: () => void): void {
    let seen = this.#dataVersion();
    this.#wakeTimer = setInterval(() => {
      const version = this.#dataVersion();
      if (version === seen) {
        confirmUnchanged();
      } else {
        seen = version;
        wake();
      }
    }, WAKE_INTERVAL_MS);
    this.#wakeTimer.unref();
  }

  announce(): void {
    // The other processes detect commits by the data version of the file.
  }

  async close(): Promise<void> {
    if (this.#wakeTimer) {
      clearInterval(this.#wakeTimer);
    }
    this.#database.close();
  }

  #poll({ after, limits, needsImages, loads }: PollRequest): Poll {
    this.#requirePosition(after);
    const head = this.#head();
    const accessRows = this.#all<LogHeader>(
      `SELECT ${HEADER} FROM "Change" WHERE "model" IN (${this.#accessModels}) AND "seq" > ? ORDER BY "seq" LIMIT ?`,
      this.#accessReadTo,
      MAX_ACCESS_CHANGES,
    );
    const hasMoreAccessChanges = accessRows.length === MAX_ACCESS_CHANGES;
    const lastAccess = accessRows.at(-1);
    this.#accessReadTo = hasMoreAccessChanges && lastAccess ? Number(lastAccess.seq) : head.seq;
    const accessChanges = accessRows.flatMap((row) => this.#changeOf(row) ?? []);
    for (const change of accessChanges) {
      change.setImages(this.#imagesOf(change));
    }
    const common = { head, accessChanges, hasMoreAccessChanges, heldBackSince: null };
    if (hasMoreAccessChanges) {
      return { ...common, changes: [], upTo: after, memberships: [] };
    }
    const memberships = loads.flatMap((load) => this.#loadMemberships(load));
    const { changes, upTo } = this.#readHeaders(after, head, limits, needsImages);
    return { ...common, changes, upTo, memberships };
  }

  #readHeaders(
    after: LogPosition,
    head: LogPosition,
    limits: ReadLimits,
    needsImages: PollRequest['needsImages'],
  ): ReplayBatch {
    const rows = this.#all<LogHeader>(
      `SELECT ${HEADER} FROM "Change" WHERE "seq" > ? AND "seq" <= ? ORDER BY "seq" LIMIT ?`,
      after.seq,
      head.seq,
      limits.rows,
    );
    const changes: Change[] = [];
    let bytes = 0;
    for (const row of rows) {
      const change = this.#changeOf(row);
      if (change) {
        changes.push(change);
        if (needsImages(change)) {
          change.setImages(this.#imagesOf(change));
          bytes += change.size;
        }
      }
      if (bytes >= limits.bytes) {
        return { changes, upTo: positionOf(row) };
      }
    }
    const last = rows.at(-1);
    return { changes, upTo: last && rows.length === limits.rows ? positionOf(last) : head };
  }

  /** Returns the sequence numbers of the selected changes, in order, at most `limit` of them. */
  #select(selection: ReplaySelection, from: number, until: number, limit: number): number[] {
    if ('models' in selection) {
      const seqs = selection.models.flatMap((model) => this.#seqs('"model" = ?', [model], from, until, limit));
      return lowest(seqs, limit);
    }
    const seqs = selection.scoped.flatMap(({ scope, model }) => [
      ...this.#seqs('"scope" = ? AND "model" = ?', [scope, model], from, until, limit),
      ...this.#seqs('"otherScope" = ? AND "model" = ?', [scope, model], from, until, limit),
    ]);
    return lowest(seqs, limit);
  }

  #seqs(condition: string, values: readonly string[], from: number, until: number, limit: number): number[] {
    return this.#prepare(
      `SELECT "seq" FROM "Change" WHERE ${condition} AND "seq" > ? AND "seq" <= ? ORDER BY "seq" LIMIT ?`,
      true,
    ).all(...values, from, until, limit) as number[];
  }

  #loadMemberships({ rule, of, id }: MembershipLoad): MembershipRow[] {
    return rule.sources.flatMap(({ model, group, user }) =>
      this.#all<{ group: unknown; user: unknown }>(
        `SELECT "${group}" AS "group", "${user}" AS "user" FROM "${model}" WHERE "${of === 'group' ? group : user}" = ?`,
        id,
      ).flatMap((row) =>
        typeof row.group === 'number' && typeof row.user === 'number'
          ? { of, prefix: rule.prefix, model, group: row.group, user: row.user }
          : [],
      ),
    );
  }

  #requirePosition(position: LogPosition): void {
    if (!this.#contains(position)) {
      throw new AppError('RESYNC_REQUIRED');
    }
  }

  #contains(position: LogPosition): boolean {
    if (position.seq === 0) {
      const first = this.#one<{ seq: number | null }>('SELECT min("seq") AS "seq" FROM "Change"')?.seq ?? null;
      return first === null || first === 1;
    }
    const row = this.#one<LogHeader>('SELECT "seq", "at" FROM "Change" WHERE "seq" = ?', position.seq);
    return row !== undefined && positionOf(row).at === position.at;
  }

  #head(): LogPosition {
    const row = this.#one<LogHeader>('SELECT "seq", "at" FROM "Change" ORDER BY "seq" DESC LIMIT 1');
    return row ? positionOf(row) : LOG_START;
  }

  #identify(): void {
    const row = this.#one<{ epoch: string }>('SELECT "epoch" FROM "ChangeEpoch" WHERE "id" = 1');
    this.#epoch = epochOf(row?.epoch ?? '', this.#settings);
  }

  /** Returns the change of a row; null for a model that this version does not log. */
  #changeOf(row: LogHeader): Change | null {
    const model = this.#models.get(row.model);
    return model ? new Change(row, model, this.#epoch) : null;
  }

  #imagesOf({ seq }: LogPosition): Images {
    return (
      this.#one<Images>('SELECT "before", "after" FROM "Change" WHERE "seq" = ?', seq) ?? { before: null, after: null }
    );
  }

  #dataVersion(): number {
    return this.#one<{ data_version: number }>('PRAGMA data_version')?.data_version ?? 0;
  }

  #prepare(sql: string, pluck = false): Sqlite.Statement {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      if (pluck) {
        statement.pluck();
      }
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #one<Result>(sql: string, ...values: readonly (string | number)[]): Result | undefined {
    return this.#prepare(sql).get(...values) as Result | undefined;
  }

  #all<Result>(sql: string, ...values: readonly (string | number)[]): Result[] {
    return this.#prepare(sql).all(...values) as Result[];
  }
}

function lowest(seqs: readonly number[], limit: number): number[] {
  return [...new Set(seqs)].sort((left, right) => left - right).slice(0, limit);
}
