import { existsSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { AppError } from '../errors.ts';

/** The number of pages that are copied in one step; the event loop is free between two steps. */
const PAGES_PER_STEP = 256;
const BUSY_TIMEOUT_MS = 5_000;

export interface CopyOptions {
  /** Called with the fraction of the pages that are copied. */
  readonly onProgress: (fraction: number) => void;
  /** Ends the copy early when it is aborted. */
  readonly stopping: AbortSignal;
}

/** Opens an existing SQLite database that has the tables of Tidings. */
export function openTidings(path: string): Sqlite.Database {
  if (!existsSync(path)) {
    throw new AppError('NOT_FOUND', `There is no file ${path}.`);
  }
  const database = new Sqlite(path, { fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
  try {
    const { count } = database
      .prepare<[], { count: number }>(
        `SELECT count(*) AS "count" FROM "sqlite_master" WHERE "type" = 'table' AND "name" IN ('_prisma_migrations', 'ChangeEpoch')`,
      )
      .get() ?? { count: 0 };
    if (count !== 2) {
      throw new AppError('CONFLICT', `${path} is not a database of Tidings: it does not have its tables.`);
    }
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Copies one consistent state of the database to the file at `path`, which is empty or missing. Other processes may write meanwhile: a read transaction keeps the
 * state, without which the copy would start again after each of their commits.
 */
export async function copyState(
  source: Sqlite.Database,
  path: string,
  { onProgress, stopping }: CopyOptions,
): Promise<void> {
  source.exec('BEGIN');
  try {
    source.prepare('SELECT count(*) FROM "sqlite_master"').get();
    await source.backup(path, {
      progress: ({ totalPages, remainingPages }) => {
        if (stopping.aborted) {
          throw new AppError('CONFLICT', 'The copy was interrupted. Nothing was changed.');
        }
        onProgress(totalPages === 0 ? 0 : 1 - remainingPages / totalPages);
        return PAGES_PER_STEP;
      },
    });
  } finally {
    source.exec('COMMIT');
  }
}

/** @throws {AppError} `CONFLICT` when SQLite finds the database damaged */
export function requireIntegrity(database: Sqlite.Database, name: string): void {
  const rows = database.prepare<[], { integrity_check: string }>('PRAGMA integrity_check(1)').all();
  const [first] = rows;
  if (first?.integrity_check !== 'ok') {
    throw new AppError('CONFLICT', `${name} is damaged: ${first?.integrity_check ?? 'it cannot be checked'}.`);
  }
}

/** Returns a callback that writes a line for each tenth of the work. */
export function reportTenths(write: (line: string) => unknown, verb: string): (fraction: number) => void {
  let reported = 0;
  return (fraction) => {
    const tenths = Math.floor(fraction * 10);
    if (tenths > reported) {
      reported = tenths;
      write(`${verb} ${tenths * 10} %\n`);
    }
  };
}
