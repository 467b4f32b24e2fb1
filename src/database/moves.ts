import type Sqlite from 'better-sqlite3';
import type pg from 'pg';
import { StartError } from '../errors.ts';

/**
 * The table by which `move` marks both databases: the source once it rejects writes, and the target from the first write of the move on. So at each moment, whenever
 * the move is interrupted, at most one of the two databases can be served. No migration creates it, since other databases do not have it.
 */
export const MOVE_TABLE = '_tidings_move';
/** The prefix of the triggers that reject writes to a SQLite database that was moved. */
export const SEAL_PREFIX = 'tidings_moved_';

/** A database that cannot be used since it was moved, or is being filled by a move; the message names it. */
export class MovedDatabaseError extends StartError {}

/** The record in a SQLite database that was moved. */
export interface Seal {
  /** The id of the move, which the target has as well. */
  readonly id: string;
  /** The host and the name of the target. */
  readonly target: string;
  /** When the database was sealed, in UTC. */
  readonly at: string;
}

/** Returns the record of the move of a SQLite database; null when it was not moved. The id is empty when an earlier version moved it. */
export function findSeal(source: Sqlite.Database): Seal | null {
  const has = (type: string, name: string): boolean =>
    source.prepare('SELECT 1 FROM "sqlite_master" WHERE "type" = ? AND "name" GLOB ?').get(type, name) !== undefined;
  if (has('table', MOVE_TABLE)) {
    return source.prepare<[], Seal>(`SELECT "id", "target", "at" FROM "${MOVE_TABLE}"`).get() ?? null;
  }
  return has('trigger', `${SEAL_PREFIX}*`) ? { id: '', target: 'PostgreSQL', at: '' } : null;
}

/** @throws {MovedDatabaseError} when the SQLite database was moved to PostgreSQL */
export function refuseMovedDatabase(source: Sqlite.Database): void {
  const seal = findSeal(source);
  if (seal) {
    const moment = seal.at === '' ? '' : ` at ${seal.at}`;
    throw new MovedDatabaseError(
      `The database ${source.name} was moved to ${seal.target}${moment} and rejects all writes. Set DATABASE_URL to the new database.`,
    );
  }
}

/** How far a move has come: the target is being filled; it is complete, and the source may still accept writes; the source rejects writes. */
export type MoveState = 'filling' | 'copied' | 'complete';

/** The record in a PostgreSQL database that a move fills, or has filled. */
export interface MoveMark {
  readonly id: string;
  readonly state: MoveState;
  /** The path of the source, for messages. */
  readonly source: string;
  /** The epoch of the source, by which a later call recognises its own mark. */
  readonly epoch: string;
}

/** Returns the record of the move to a PostgreSQL database; null when nothing was moved to it. */
export async function findMoveMark(target: Pick<pg.Client, 'query'>): Promise<MoveMark | null> {
  const { rows: tables } = await target.query<{ found: boolean }>(
    `SELECT to_regclass('"${MOVE_TABLE}"') IS NOT NULL AS "found"`,
  );
  if (!tables[0]?.found) {
    return null;
  }
  const { rows } = await target.query<MoveMark>(`SELECT "id", "state", "source", "epoch" FROM "${MOVE_TABLE}"`);
  return rows[0] ?? null;
}

/** @throws {MovedDatabaseError} when a move to this database has begun and has not ended */
export async function refuseUnfinishedMove(client: pg.Client): Promise<void> {
  const mark = await findMoveMark(client);
  if (mark && mark.state !== 'complete') {
    throw new MovedDatabaseError(
      `The database ${client.database} on PostgreSQL is being filled by \`move\` from ${mark.source}, which has not ended. Wait for it; if it was interrupted, run the same command again.`,
    );
  }
}
