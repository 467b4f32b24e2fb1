import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import Sqlite from 'better-sqlite3';
import type { Config } from '../config/config.ts';
import { AppError } from '../errors.ts';
import { IDEMPOTENCY_LIFE_MS } from '../identity/idempotency.ts';
import { rotateSecretFile, secretPathOf } from '../identity/secret-file.ts';
import type { Command } from '../slice.ts';

const REVOKE = '--revoke';

/**
 * Replaces the key in the file beside a SQLite database: `rotate-key [--revoke]`. Running servers sign with the new key at once. The previous key is accepted
 * until everything that it signed has expired; with `--revoke` it is refused
 * from now on, apart from connections and cached identities that were accepted before.
 *
 * @throws {AppError} when the server does not use that file, or the file cannot be replaced
 */
export const rotateKey: Command = {
  synopsis: `rotate-key [${REVOKE}]`,
  summary:
    'replaces the key of a SQLite database; the previous one is accepted until its tokens expire, unless revoked',
  run: async ({ args, config, terminal }) => {
    if (args.length > 1 || (args.length === 1 && args[0] !== REVOKE)) {
      terminal.stderr.write(`Usage: npm run rotate-key -- [${REVOKE}]\n`);
      return 2;
    }
    const path = requireKeyFile(config);
    const previousUntil = args.length === 0 ? new Date(Date.now() + longestLifeMs(config)) : null;
    withDatabaseLocked(path, config.database.timeoutMs, () => rotateSecretFile(path, previousUntil));
    const previous = previousUntil
      ? `The previous key is accepted until ${previousUntil.toISOString()}.`
      : 'No previous key is accepted: access tokens have to be refreshed, and links in mails to be requested again. Restart the servers, to end connections that were accepted before.';
    terminal.stdout.write(`${secretPathOf(path)} has a new key, which running servers use from now on. ${previous}\n`);
    return 0;
  },
};

/** Returns the path of the database whose key is in a file. */
function requireKeyFile({ auth, database }: Config): string {
  if (auth.secret !== null) {
    throw new AppError(
      'BAD_INPUT',
      'SECRET_KEY is set, so this server uses no key file. To rotate it, set SECRET_KEY and SECRET_KEY_OLD as docs/operating.md describes.',
    );
  }
  const path = resolve(database.url.slice('file:'.length));
  if (!existsSync(path)) {
    throw new AppError('NOT_FOUND', `There is no database ${path}. Check DATABASE_URL; the first start creates a key.`);
  }
  return path;
}

/** Returns how long something that the previous key signed can be valid, in milliseconds. */
function longestLifeMs({ auth }: Config): number {
  const { resetPassword, verifyEmail } = auth.links;
  const longestS = Math.max(auth.accessTokenLifeS, auth.refreshTokenLifeS, resetPassword.lifeS, verifyEmail.lifeS);
  return Math.max(longestS * 1000, IDEMPOTENCY_LIFE_MS);
}

/** Runs a function while no other process does: the lock of the database ends with the process, however it ends. */
function withDatabaseLocked(path: string, timeout: number, work: () => void): void {
  const file = openDatabase(path, timeout);
  try {
    work();
  } finally {
    file.close();
  }
}

function openDatabase(path: string, timeout: number): Sqlite.Database {
  try {
    const file = new Sqlite(path, { timeout, fileMustExist: true });
    file.exec('BEGIN IMMEDIATE');
    return file;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AppError('CONFLICT', `The database ${path} cannot be locked: ${reason}. Nothing was changed.`);
  }
}
