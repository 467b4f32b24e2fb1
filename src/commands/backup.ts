import { parseArgs } from 'node:util';
import { createBackup } from '../backup/backup.ts';
import { reportTenths } from '../backup/copy.ts';
import { restoreBackup } from '../backup/restore.ts';
import { loggedModels } from '../changes/logged-models.ts';
import { planSqliteTriggers } from '../changes/sqlite-triggers.ts';
import { sqlitePathOf } from '../database/location.ts';
import { AppError } from '../errors.ts';
import type { Command } from '../slice.ts';
import { MODELS } from '../slices.ts';

/** `backup <file>`: an online backup of the SQLite database. */
export const backup: Command = {
  synopsis: 'backup <file> [--force]',
  summary: 'copies the SQLite database to a file while the server runs',
  run: async ({ args, config, terminal: { stdout }, interruption }) => {
    const { file, isForced } = readArguments('backup', args);
    const database = requireSqlite(config.database.url, 'pg_dump');
    const hasSecret = await createBackup({
      database,
      file,
      hasSecretFile: config.auth.secret === null,
      replaces: isForced,
      onProgress: reportTenths((line) => stdout.write(line), 'Copied'),
      stopping: interruption(),
    });
    const secret = hasSecret ? `, and its signing secret to ${file}.secret` : '';
    stdout.write(`The database ${database} was copied to ${file}${secret}. The copy was checked.\n`);
    return 0;
  },
};

/** `restore <file>`: replaces the SQLite database by a backup. */
export const restore: Command = {
  synopsis: 'restore <file> [--force]',
  summary: 'replaces the SQLite database by a backup, after the servers were stopped',
  run: async ({ args, config, terminal: { stdout }, interruption }) => {
    const { file, isForced } = readArguments('restore', args);
    const database = requireSqlite(config.database.url, 'pg_restore');
    const models = loggedModels(MODELS);
    const hasSecretFile = config.auth.secret === null;
    const { kept, hasSecret } = await restoreBackup({
      database,
      file,
      hasSecretFile,
      isForced,
      plan: (opened) => planSqliteTriggers(opened, models),
      onProgress: reportTenths((line) => stdout.write(line), 'Copied'),
      stopping: interruption(),
    });
    const replaced = kept === null ? '' : ` The database that was there is kept as ${kept}.`;
    const secret =
      hasSecret || !hasSecretFile ? '' : ` There is no ${file}.secret, so the signing secret is not changed.`;
    stdout.write(
      `${file} was restored to ${database}.${replaced}${secret} Clients with cursors from before load their data again.\n`,
    );
    return 0;
  },
};

function readArguments(name: string, args: readonly string[]): { file: string; isForced: boolean } {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { force: { type: 'boolean' } },
    allowPositionals: true,
    strict: false,
  });
  const [file, ...others] = positionals;
  const unknown = Object.keys(values).filter((option) => option !== 'force');
  if (file === undefined || file === '' || others.length > 0 || unknown.length > 0) {
    throw new AppError('BAD_INPUT', `Usage: npm run ${name} -- <file> [--force]`);
  }
  return { file, isForced: values['force'] === true };
}

/** @throws {AppError} `BAD_INPUT` on PostgreSQL, which has tools of its own */
function requireSqlite(url: string, tool: string): string {
  const path = sqlitePathOf(url);
  if (path === null) {
    throw new AppError(
      'BAD_INPUT',
      `DATABASE_URL is a PostgreSQL database, for which this command is not made. Use ${tool}, as docs/operating.md describes under "Backup".`,
    );
  }
  return path;
}
