import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { StartError } from '../errors.ts';

const SECRET_BYTES = 32;
const OWNER_ONLY = 0o600;

/**
 * The signing secret that is kept beside a database file, made once; readable by the owner only. Processes that start together agree on
 * one: the file appears complete or not at all, and only the first to link it wins.
 */
export function keptSecret(databasePath: string): string {
  const path = `${databasePath}.secret`;
  const kept = readSecret(path);
  if (kept) {
    return kept;
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
      `The signing secret in ${path} is shorter than ${SECRET_BYTES} characters; remove the file to have a new one made.`,
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
