import Sqlite from 'better-sqlite3';
import { BUSY_TIMEOUT_MS } from '../database/migrate-sqlite.ts';
import { AppError } from '../errors.ts';
import { epochOf, ORIGIN, type Position } from './cursor.ts';
import type { ChangeLog, ChatSnapshot, Slice } from './log.ts';
import { type LoggedModel, loggedModels, type RowImage, readImage } from './models.ts';
import { type LogRow, positionOf, readChange } from './rows.ts';
import { installSqliteTriggers } from './sqlite-triggers.ts';

/** How often the database is asked whether another connection wrote; asking takes about two microseconds. */
const POLL_INTERVAL_MS = 20;

/** The change log of a SQLite file, over a connection of its own. SQLite commits one writer at a time, so `seq` is the order of commits. */
export class SqliteLog implements ChangeLog {
  readonly epoch: string;
  readonly #database: Sqlite.Database;
  readonly #models: ReadonlyMap<string, LoggedModel> = loggedModels();
  readonly #statements = new Map<string, Sqlite.Statement>();
  #poll: NodeJS.Timeout | null = null;

  /** `rules` names the settings that decide who sees what: cursors made under others are not continued. */
  constructor(path: string, rules: string) {
    this.#database = new Sqlite(path, { timeout: BUSY_TIMEOUT_MS });
    installSqliteTriggers(this.#database);
    const identity = this.#one<{ epoch: string }>('SELECT "epoch" FROM "ChangeEpoch" WHERE "id" = 1')?.epoch;
    this.epoch = epochOf(identity ?? '', rules);
  }

  async read(from: Position, options: { limit: number; models?: readonly string[]; until?: Position }): Promise<Slice> {
    return this.#database.transaction(() => {
      if (!this.#holds(from)) {
        throw new AppError('RESYNC_REQUIRED');
      }
      return this.#read(from, options);
    })();
  }

  #read(
    from: Position,
    { limit, models, until }: { limit: number; models?: readonly string[]; until?: Position },
  ): Slice {
    const head = until ?? this.#head();
    const named = models ? `AND "model" IN (${models.map((model) => `'${model}'`).join(', ')})` : '';
    const rows = this.#all<LogRow>(
      `SELECT * FROM "Change" WHERE "seq" > ? AND "seq" <= ? ${named} ORDER BY "seq" LIMIT ?`,
      from.seq,
      head.seq,
      limit,
    );
    const changes = rows.flatMap((row) => readChange(row, this.#models, this.epoch) ?? []);
    const last = rows.at(-1);
    const more = rows.length === limit;
    return { changes, upTo: last && more ? positionOf(last) : head, more, ahead: [] };
  }

  async holds(position: Position): Promise<boolean> {
    return this.#holds(position);
  }

  #holds(position: Position): boolean {
    if (position.seq === 0) {
      const first = this.#one<{ seq: number | null }>('SELECT min("seq") AS "seq" FROM "Change"')?.seq ?? null;
      return first === null || first === 1;
    }
    const row = this.#one<{ seq: number; at: string }>(
      'SELECT "seq", "at" FROM "Change" WHERE "seq" = ?',
      position.seq,
    );
    return row !== undefined && positionOf(row).at === position.at;
  }

  async snapshotChats(): Promise<ChatSnapshot> {
    return this.#database.transaction(() => ({
      position: this.#head(),
      chats: this.#rowsOf('ChatSession'),
      members: this.#rowsOf('ChatMember'),
    }))();
  }

  onWake(wake: () => void): void {
    let seen = this.#dataVersion();
    this.#poll = setInterval(() => {
      const version = this.#dataVersion();
      if (version !== seen) {
        seen = version;
        wake();
      }
    }, POLL_INTERVAL_MS);
    this.#poll.unref();
  }

  announce(): void {
    // Others see it in the file itself.
  }

  async close(): Promise<void> {
    if (this.#poll) {
      clearInterval(this.#poll);
    }
    this.#database.close();
  }

  #head(): Position {
    const row = this.#one<{ seq: number; at: string }>('SELECT "seq", "at" FROM "Change" ORDER BY "seq" DESC LIMIT 1');
    return row ? positionOf(row) : ORIGIN;
  }

  #dataVersion(): number {
    return this.#one<{ data_version: number }>('PRAGMA data_version')?.data_version ?? 0;
  }

  #rowsOf(name: string): RowImage[] {
    const model = this.#models.get(name);
    if (!model) {
      return [];
    }
    const members = [...model.columns.keys()].map((column) => `'${column}', "${column}"`).join(', ');
    return this.#all<{ image: string }>(`SELECT json_object(${members}) AS "image" FROM "${name}" ORDER BY "id"`).map(
      ({ image }) => readImage(model, image),
    );
  }

  #prepare(sql: string): Sqlite.Statement {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
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
