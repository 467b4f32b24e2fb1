import {
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import Sqlite from 'better-sqlite3';
import { renewSqliteEpoch } from '../database/copies.ts';
import { migrateSqlite, type SqlitePlan } from '../database/migrate-sqlite.ts';
import { AppError, StartError } from '../errors.ts';
import { type CopyOptions, copyState, openTidings, requireIntegrity } from './copy.ts';
import { codeOf, createPartial, explained, publish, removeDatabase, secretOf, sync, writePartial } from './files.ts';
import { type DatabaseLock, lockDatabase } from './lock.ts';
import { timestamp } from './timestamp.ts';

/** Errors of the disk of the database, and not of the backup. */
const WRITE_FAILURES = /^(ENOSPC|EDQUOT|SQLITE_FULL|SQLITE_IOERR_WRITE)$/;
const OWNER_ONLY = 0o600;

export interface RestoreOptions extends CopyOptions {
  /** The path of the SQLite database; it may be missing. */
  readonly database: string;
  /** The path of the backup. */
  readonly file: string;
  /** Whether the server signs with the secret beside the database, which is then restored as well. */
  readonly hasSecretFile: boolean;
  /** Whether a database is replaced that cannot be read, so that its use by a server cannot be detected, or that was moved to PostgreSQL. */
  readonly isForced: boolean;
  /** Returns the triggers of the change log that are missing. */
  readonly plan: SqlitePlan;
}

export interface Restored {
  /** The path under which the replaced database was kept; null when there was none. */
  readonly kept: string | null;
  /** Whether the signing secret of the backup was restored. */
  readonly hasSecret: boolean;
}

/**
 * Replaces a database that no process uses by a backup. The backup is copied, checked and migrated before the database is touched, and takes its name in one step:
 * whenever this is interrupted, the name belongs to the whole old or the whole new database. The log of the new one has a new epoch.
 *
 * @throws {AppError} `CONFLICT`, `BAD_INPUT` or `NOT_FOUND` with a sentence for the operator; then the database was not changed
 */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const file = resolve(options.file);
  const database = existsSync(options.database) ? realpathSync(options.database) : options.database;
  if (existsSync(file) && realpathSync(file) === database) {
    throw new AppError('BAD_INPUT', `${file} is the database itself. Name its backup.`);
  }
  const source = explainFailure(file, () => openTidings(file));
  let lock: DatabaseLock | null = null;
  try {
    explainFailure(database, () => mkdirSync(dirname(database), { recursive: true }));
    lock = lockDatabase(database, options.isForced);
    const partial = explainFailure(database, () => createPartial(database));
    try {
      await copyBackup(source, partial, { ...options, file });
      return explainFailure(database, () =>
        replace(lock, partial, { ...options, file, database, secretPath: secretOf(options.database) }),
      );
    } finally {
      removeDatabase(partial);
    }
  } finally {
    source.close();
    lock?.release();
  }
}

function explainFailure<Result>(path: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw explained(error, path);
  }
}

/** Copies a backup, checks it, and makes it the database of this version. */
async function copyBackup(source: Sqlite.Database, partial: string, options: RestoreOptions): Promise<void> {
  const { file, plan } = options;
  try {
    await copyState(source, partial, options);
    checkCopy(partial, file);
    migrateSqlite(partial, plan);
    const restored = new Sqlite(partial, { fileMustExist: true });
    renewSqliteEpoch(restored);
    // One file, without a write-ahead log; the server changes the mode.
    restored.pragma('journal_mode = DELETE');
    restored.close();
    sync(partial);
  } catch (error) {
    if (error instanceof StartError) {
      // It was moved to PostgreSQL, or a later version has migrated it.
      throw new AppError('CONFLICT', `${file} cannot be restored: ${error.message.replace(partial, file)}`);
    }
    const known = explained(error, WRITE_FAILURES.test(codeOf(error)) ? options.database : file);
    if (known instanceof AppError || !(known instanceof Error)) {
      throw known;
    }
    // Of a later version, or with a migration that was changed.
    throw new AppError('CONFLICT', `${file} cannot be restored: ${known.message}`);
  }
}

function checkCopy(partial: string, name: string): void {
  const copy = new Sqlite(partial, { fileMustExist: true });
  try {
    requireIntegrity(copy, name);
  } finally {
    copy.close();
  }
}

interface Replacement extends Pick<RestoreOptions, 'file' | 'hasSecretFile'> {
  /** The path of the database, without symbolic links. */
  readonly database: string;
  /** The path at which the server looks for its signing secret: beside the name of the database that it is given. */
  readonly secretPath: string;
}

/** Keeps the old files under other names, and gives the new files theirs. The database comes last, in one step. */
function replace(
  lock: DatabaseLock | null,
  partial: string,
  { database, file, hasSecretFile, secretPath }: Replacement,
): Restored {
  const kept = lock ? `${database}.before-restore-${timestamp(new Date())}` : null;
  if (lock && kept !== null) {
    lock.keepAs(kept);
    takeOwner(partial, kept);
  }
  const secret = hasSecretFile && existsSync(secretOf(file)) ? readFileSync(secretOf(file)) : null;
  if (secret) {
    if (kept !== null && existsSync(secretPath)) {
      copyFileSync(secretPath, secretOf(kept), constants.COPYFILE_EXCL);
    }
    const draft = writePartial(secretPath, secret);
    try {
      takeOwner(draft, database);
      chmodSync(draft, OWNER_ONLY);
      renameSync(draft, secretPath);
    } finally {
      rmSync(draft, { force: true });
    }
  }
  publish(partial, database, lock !== null);
  return { kept, hasSecret: secret !== null };
}

/** Gives a new file the mode and the owner of another one: the server may run as another user than the command. */
function takeOwner(path: string, like: string): void {
  const present = statSync(like, { throwIfNoEntry: false });
  if (present) {
    chmodSync(path, present.mode & 0o777);
    const own = statSync(path);
    if (own.uid !== present.uid || own.gid !== present.gid) {
      chownSync(path, present.uid, present.gid);
    }
  }
}
