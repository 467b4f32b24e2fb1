import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, linkSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { AppError } from '../errors.ts';

const OWNER_ONLY = 0o600;
/** The files that SQLite puts beside a database. */
const SIDE_FILES = ['-wal', '-shm', '-journal'];
/** Between a file's name and a random part in the names of unfinished files. */
export const PARTIAL = '.partial-';

/** Returns the path of the signing secret of a database, or of its backup. */
export function secretOf(path: string): string {
  return `${path}.secret`;
}

/** Creates an empty file beside `path` that only its owner can read; returns its path. */
export function createPartial(path: string): string {
  const partial = `${path}${PARTIAL}${randomBytes(6).toString('hex')}`;
  writeFileSync(partial, '', { mode: OWNER_ONLY, flag: 'wx' });
  return partial;
}

/** Removes a database file with the files beside it; does nothing where they are missing. */
export function removeDatabase(path: string): void {
  for (const suffix of ['', ...SIDE_FILES]) {
    rmSync(`${path}${suffix}`, { force: true });
  }
}

/** Writes a file beside `path` that only its owner can read, and that is on the disk when this returns; returns its path. */
export function writePartial(path: string, contents: string | Buffer): string {
  const partial = createPartial(path);
  try {
    writeFileSync(partial, contents);
    sync(partial);
    return partial;
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

/** Waits until a file, or the names in a folder, are on the disk. */
export function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Gives an unfinished file its name, in one step.
 *
 * @throws {AppError} `CONFLICT` when a file has the name and `replaces` is false
 */
export function publish(partial: string, path: string, replaces: boolean): void {
  if (!replaces) {
    linkNew(partial, path);
    rmSync(partial, { force: true });
  } else {
    renameSync(partial, path);
  }
  sync(dirname(path));
}

/** Links a file under a second name. Some file systems have no hard links; there, two calls at the same moment could replace each other's file. */
function linkNew(partial: string, path: string): void {
  try {
    linkSync(partial, path);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') {
      throw alreadyExists(path);
    }
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(codeOf(error))) {
      throw error;
    }
    if (existsSync(path)) {
      throw alreadyExists(path);
    }
    renameSync(partial, path);
  }
}

/** Returns the error for a file that is not overwritten. */
export function alreadyExists(path: string): AppError {
  return new AppError(
    'CONFLICT',
    `The file ${path} exists already. Choose another name, or add --force to replace it.`,
  );
}

/** Returns the code of an error of Node or SQLite; empty without one. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

const CAUSES: readonly (readonly [codes: RegExp, sentence: (path: string) => string])[] = [
  [
    /^(ENOSPC|EDQUOT|SQLITE_FULL)$/,
    (path) => `There is not enough space on the disk of ${path}. Free some, or choose another folder.`,
  ],
  [
    /^(EACCES|EPERM|EROFS|SQLITE_READONLY\w*|SQLITE_PERM)$/,
    (path) =>
      `${path} cannot be accessed: permission denied. Run the command as the owner of the folder, or choose another one.`,
  ],
  [/^(ENOENT|ENOTDIR|SQLITE_CANTOPEN\w*)$/, (path) => `${path} cannot be opened. Check that its folder exists.`],
  [/^EISDIR$/, (path) => `${path} is a folder. Name a file.`],
  [/^SQLITE_NOTADB$/, (path) => `${path} is not a SQLite database.`],
  [/^SQLITE_CORRUPT\w*$/, (path) => `${path} is damaged, so it cannot be read.`],
  [
    /^(SQLITE_IOERR\w*|EIO|EFBIG)$/,
    (path) => `${path} cannot be read or written: the disk reports an error, or a limit on the size of files.`,
  ],
  [/^SQLITE_BUSY\w*$/, (path) => `${path} is locked by another process. Try again.`],
];

/** Returns an error that explains the failure of an operation on a file, or the error itself when it has no known cause. */
export function explained(error: unknown, path: string): unknown {
  const code = codeOf(error);
  const cause = error instanceof AppError ? undefined : CAUSES.find(([codes]) => codes.test(code));
  return cause ? new AppError('CONFLICT', cause[1](path)) : error;
}
