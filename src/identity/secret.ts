import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { StartError } from '../errors.ts';

const SECRET_BYTES = 32;
const OWNER_ONLY = 0o600;

/**
 * Returns the signing secret in the file beside a SQLite database, and creates the file if there is none; only its owner can read it. Processes that start together
 * use the same secret: the file appears with its whole contents or not at all, and only the first process succeeds in linking it.
 */
export function loadSecretFile(databasePath: string): string {
  const path = `${databasePath}.secret`;
  const existing = readSecret(path);
  if (existing) {
    return existing;
  }
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  writeFileSync(draft, `${randomBytes(SECRET_BYTES).toString('hex')}\n`, { mode: OWNER_ONLY, flag: 'wx' });
  try {
    linkSync(draft, path);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) {
      throw error;
    }
  } finally {
    rmSync(draft);
  }
  const secret = readSecret(path);
  if (!secret) {
    throw new StartError(
      `The signing secret in ${path} has fewer than ${SECRET_BYTES} characters. Remove the file: the next start creates a new one.`,
    );
  }
  return secret;
}

function readSecret(path: string): string | null {
  try {
    const secret = readFileSync(path, 'utf8').trim();
    return secret.length >= SECRET_BYTES ? secret : null;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return null;
    }
    throw error;
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
