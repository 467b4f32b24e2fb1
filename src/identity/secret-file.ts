import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { AppError, StartError } from '../errors.ts';

const SECRET_BYTES = 32;
const OWNER_ONLY = 0o600;
/** The largest number of earlier secrets: each token without a key id is tried with every secret. */
const MAX_EARLIER = 4;
/** An earlier secret, and the time until which it is accepted. */
const EARLIER = /^(.*\S) until (\S+)$/;

/** A secret that signed earlier. */
export interface EarlierSecret {
  readonly secret: string;
  /** The time until which its tokens and links are accepted; null without an end. */
  readonly until: Date | null;
}

/** The secrets of the file beside a SQLite database. The file has one a line: first the one that signs, then earlier ones like `<secret> until <time>`. */
export interface StoredSecrets {
  readonly signing: string;
  readonly earlier: readonly EarlierSecret[];
}

/** Returns the path of the file with the secrets of a SQLite database. */
export function secretPathOf(databasePath: string): string {
  return `${databasePath}.secret`;
}

/**
 * Returns the secrets in the file beside a SQLite database, and creates the file if there is none; only its owner can read it. Processes that start together
 * use the same secret: the file appears with its whole contents or not at all, and only the first process succeeds in linking it.
 *
 * @throws {StartError} when the file has a secret that is too short, or a line that is not one
 */
export function loadSecretFile(databasePath: string): StoredSecrets {
  const path = secretPathOf(databasePath);
  const existing = readSecretFile(path);
  if (existing) {
    return existing;
  }
  const draft = writeDraft(path, `${newSecret()}\n`);
  try {
    linkSync(draft, path);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) {
      throw error;
    }
  } finally {
    rmSync(draft);
  }
  const created = readSecretFile(path);
  if (!created) {
    throw new StartError(`The file ${path} disappeared while it was created. Start again.`);
  }
  return created;
}

/**
 * Returns the secrets of a file; null when there is no such file.
 *
 * @throws {StartError} when the file has a secret that is too short, or a line that is not one
 */
export function readSecretFile(path: string): StoredSecrets | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return null;
    }
    throw error;
  }
  const [signing = '', ...others] = text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  if (signing.length < SECRET_BYTES) {
    throw new StartError(
      `The signing secret in ${path} has fewer than ${SECRET_BYTES} characters. Remove the file: the next start creates a new one.`,
    );
  }
  if (EARLIER.test(signing)) {
    throw new StartError(
      `The first line of ${path} is an earlier secret with a time. It must be the secret that signs, without a time: remove the time, or the line.`,
    );
  }
  return { signing, earlier: others.map((line) => earlierSecret(line, path)) };
}

function earlierSecret(line: string, path: string): EarlierSecret {
  const [, secret = line, time] = EARLIER.exec(line) ?? [];
  const until = time === undefined ? null : new Date(time);
  if (secret.length < SECRET_BYTES || Number.isNaN(until?.getTime())) {
    throw new StartError(
      `The file ${path} has a line that is not an earlier secret: it must be a secret of at least ${SECRET_BYTES} characters, and may end in " until " and a time like 2026-01-31T12:00:00Z. Remove the line.`,
    );
  }
  return { secret, until };
}

/**
 * Writes a new secret that signs to the file beside a SQLite database. The previous one is accepted until the given time; with null, no earlier secret is accepted
 * any longer. The file is replaced at once, with its owner and mode. Call it by one process at a time.
 *
 * @throws {AppError} `CONFLICT` when four earlier secrets are still accepted, or the file cannot be replaced
 */
export function rotateSecretFile(databasePath: string, previousUntil: Date | null): StoredSecrets {
  const { signing, earlier } = loadSecretFile(databasePath);
  const path = realpathSync(secretPathOf(databasePath));
  const accepted = earlier.filter(({ until }) => until === null || until.getTime() > Date.now());
  if (previousUntil !== null && accepted.length >= MAX_EARLIER) {
    throw new AppError(
      'CONFLICT',
      `${path} has ${accepted.length} earlier secrets that are still accepted, and at most ${MAX_EARLIER} are kept. Wait until one expires, or end all of them with --revoke.`,
    );
  }
  const rotated: StoredSecrets = {
    signing: newSecret(),
    earlier: previousUntil === null ? [] : [{ secret: signing, until: previousUntil }, ...accepted],
  };
  const lines = rotated.earlier.map(({ secret, until }) => (until ? `${secret} until ${until.toISOString()}` : secret));
  replaceFile(path, `${[rotated.signing, ...lines].join('\n')}\n`);
  return rotated;
}

function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString('hex');
}

/** Replaces a file at once and durably, and keeps its owner: the server may run as another user than this process. */
function replaceFile(path: string, text: string): void {
  let draft: string | null = null;
  try {
    const { uid, gid, mode } = statSync(path);
    draft = writeDraft(path, text);
    withFile(draft, 'r+', (file) => {
      fchownSync(file, uid, gid);
      fchmodSync(file, mode & 0o777);
      fsyncSync(file);
    });
    renameSync(draft, path);
    withFile(dirname(path), 'r', fsyncSync);
  } catch (error) {
    if (draft !== null) {
      rmSync(draft, { force: true });
    }
    const reason = error instanceof Error ? error.message : String(error);
    throw new AppError('CONFLICT', `The file ${path} cannot be replaced: ${reason}. Its secrets are unchanged.`);
  }
}

function withFile(path: string, flags: string, use: (file: number) => void): void {
  const file = openSync(path, flags);
  try {
    use(file);
  } finally {
    closeSync(file);
  }
}

function writeDraft(path: string, text: string): string {
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  writeFileSync(draft, text, { mode: OWNER_ONLY, flag: 'wx' });
  return draft;
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
