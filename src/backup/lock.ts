import { existsSync, linkSync, rmSync, statSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { findSeal } from '../database/moves.ts';
import { AppError } from '../errors.ts';
import { codeOf } from './files.ts';

/** How long another command may use the database, in milliseconds. Servers use it as long as they run. */
const BUSY_TIMEOUT_MS = 2_000;

/** The exclusive use of a database file. */
export interface DatabaseLock {
  /** Keeps the database under a second name, with all of its committed changes in one file. Afterwards the first name can be given to another file. */
  readonly keepAs: (path: string) => void;
  readonly release: () => void;
}

/**
 * Locks a SQLite database for the exclusive use of this process. Each connection in the WAL mode has a shared lock on the file until it is closed, also while it
 * is idle, so a running server is always detected. Returns null when there is no file.
 *
 * @throws {AppError} `CONFLICT` when another process uses the database; without `isForced`, also when it cannot be read or was moved to PostgreSQL
 */
export function lockDatabase(path: string, isForced: boolean): DatabaseLock | null {
  const file = statSync(path, { throwIfNoEntry: false });
  if (!file) {
    return null;
  }
  const database = new Sqlite(path, { fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
  try {
    database.pragma('locking_mode = EXCLUSIVE');
    // With this mode, the lock outlasts the transaction.
    database.exec('BEGIN EXCLUSIVE; COMMIT');
    if (statSync(path).ino !== file.ino) {
      throw inUse(path);
    }
    const seal = findSeal(database);
    if (seal && !isForced) {
      throw new AppError(
        'CONFLICT',
        `${path} was moved to ${seal.target}. To serve a backup of it beside that database, add --force.`,
      );
    }
    return { keepAs: (kept) => keepAs(database, path, kept), release: () => database.close() };
  } catch (error) {
    database.close();
    return withoutLock(error, path, isForced);
  }
}

function keepAs(database: Sqlite.Database, path: string, kept: string): void {
  // Moves the changes of the write-ahead log to the file, and removes the log.
  database.pragma('journal_mode = DELETE');
  database.exec('BEGIN EXCLUSIVE');
  linkSync(path, kept);
  rmSync(`${path}-journal`, { force: true });
}

/** Returns the use of a database that cannot be read, and therefore not be locked, if the operator asks for it. */
function withoutLock(error: unknown, path: string, isForced: boolean): DatabaseLock {
  if (error instanceof AppError) {
    throw error;
  }
  if (codeOf(error).startsWith('SQLITE_BUSY')) {
    throw inUse(path);
  }
  const message = error instanceof Error ? error.message : String(error);
  if (!isForced) {
    throw new AppError(
      'CONFLICT',
      `${path} cannot be read (${message}), so a server that uses it cannot be detected. Stop all servers, and add --force.`,
    );
  }
  return { keepAs: (kept) => keepUnread(path, kept), release: () => undefined };
}

/** Keeps a database with its write-ahead log, which must not be applied to another database. */
function keepUnread(path: string, kept: string): void {
  linkSync(path, kept);
  for (const suffix of ['-wal', '-journal']) {
    if (existsSync(`${path}${suffix}`)) {
      linkSync(`${path}${suffix}`, `${kept}${suffix}`);
    }
  }
  for (const suffix of ['-wal', '-journal', '-shm']) {
    rmSync(`${path}${suffix}`, { force: true });
  }
}

function inUse(path: string): AppError {
  return new AppError(
    'CONFLICT',
    `A server or another program uses ${path}. Stop it first: what it writes would be lost.`,
  );
}
