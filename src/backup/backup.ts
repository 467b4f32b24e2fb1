import { existsSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import Sqlite from 'better-sqlite3';
import { markAsCopy } from '../database/copies.ts';
import { findSeal } from '../database/moves.ts';
import { AppError } from '../errors.ts';
import { type CopyOptions, copyState, openTidings, requireIntegrity } from './copy.ts';
import {
  alreadyExists,
  createPartial,
  explained,
  publish,
  removeDatabase,
  secretOf,
  sync,
  writePartial,
} from './files.ts';

export interface BackupOptions extends CopyOptions {
  /** The path of the SQLite database. */
  readonly database: string;
  /** The path of the backup. */
  readonly file: string;
  /** Whether the server signs with the secret beside the database, which then belongs to the backup. */
  readonly hasSecretFile: boolean;
  /** Whether an existing backup is replaced. */
  readonly replaces: boolean;
}

/**
 * Copies a database to a file while servers use it, checks the copy, and only then gives it its name. Returns whether the signing secret was copied as well, to
 * the same name with `.secret`. Only the owner can read the files.
 *
 * @throws {AppError} `CONFLICT` or `NOT_FOUND` with a sentence for the operator; then no file was created or changed
 */
export async function createBackup({
  database,
  file,
  hasSecretFile,
  replaces,
  ...copy
}: BackupOptions): Promise<boolean> {
  const target = resolve(file);
  try {
    const source = openSource(database);
    try {
      requireOther(database, target);
      const names = [target, ...(hasSecretFile ? [secretOf(target)] : [])];
      const taken = names.find((name) => existsSync(name));
      if (taken !== undefined && !replaces) {
        throw alreadyExists(taken);
      }
      return await writeBackup(source, { database, target, hasSecretFile, replaces, ...copy });
    } finally {
      source.close();
    }
  } catch (error) {
    throw explained(error, target);
  }
}

/** Opens the database to copy. Its failures name the database, and not the backup. */
function openSource(path: string): Sqlite.Database {
  try {
    return openTidings(path);
  } catch (error) {
    throw explained(error, path);
  }
}

/** @throws {AppError} `BAD_INPUT` when the backup would replace a file of the database itself */
function requireOther(database: string, target: string): void {
  const own = realpathSync(database);
  const place = existsSync(target) ? realpathSync(target) : join(realpathSync(dirname(target)), basename(target));
  const files = ['', '-wal', '-shm', '-journal', '.secret'].map((suffix) => `${own}${suffix}`);
  if ([...files, secretOf(database)].includes(place)) {
    throw new AppError('BAD_INPUT', `${target} belongs to the database itself. Name another file for the backup.`);
  }
}

async function writeBackup(
  source: Sqlite.Database,
  { database, target, hasSecretFile, replaces, ...copy }: Omit<BackupOptions, 'file'> & { readonly target: string },
): Promise<boolean> {
  const partial = createPartial(target);
  try {
    await copyState(source, partial, copy);
    completeCopy(partial);
    const secret = hasSecretFile && existsSync(secretOf(database)) ? readFileSync(secretOf(database)) : null;
    if (secret) {
      // First, so that no backup is without its secret, whenever this is interrupted.
      publishSecret(secretOf(target), secret, replaces);
    }
    try {
      publish(partial, target, replaces);
    } catch (error) {
      if (secret && !replaces) {
        rmSync(secretOf(target), { force: true });
      }
      throw error;
    }
    return secret !== null;
  } finally {
    removeDatabase(partial);
  }
}

function publishSecret(path: string, secret: Buffer, replaces: boolean): void {
  const partial = writePartial(path, secret);
  try {
    publish(partial, path, replaces);
  } finally {
    rmSync(partial, { force: true });
  }
}

/** Makes a copy one file, marks it as a copy, checks it, and waits until it is on the disk. */
function completeCopy(path: string): void {
  const copy = new Sqlite(path, { fileMustExist: true });
  try {
    copy.pragma('journal_mode = DELETE');
    // A database that was moved cannot be served again, and rejects this write.
    if (!findSeal(copy)) {
      markAsCopy(copy);
    }
    requireIntegrity(copy, 'The copy');
  } finally {
    copy.close();
  }
  sync(path);
}
