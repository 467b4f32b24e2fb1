import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import type Sqlite from 'better-sqlite3';
import pg from 'pg';
import { openTidings } from '../backup/copy.ts';
import { explained } from '../backup/files.ts';
import { loggedModels } from '../changes/logged-models.ts';
import { planSqliteTriggers } from '../changes/sqlite-triggers.ts';
import { describeLocation, sqlitePathOf } from '../database/location.ts';
import { migratePostgres } from '../database/migrate-postgres.ts';
import { migrateSqlite } from '../database/migrate-sqlite.ts';
import { findMoveMark, findSeal, type Seal } from '../database/moves.ts';
import { connectionOf } from '../database/postgres-connection.ts';
import { AppError, StartError } from '../errors.ts';
import type { Command } from '../slice.ts';
import { MODELS } from '../slices.ts';
import { copyTables } from './move-copy.ts';
import { inTransaction, lockTarget, markCopied, markTarget, openTarget, sealSource } from './move-marks.ts';

/** How long writers of the source may delay the move, in milliseconds. */
const BUSY_TIMEOUT_MS = 60_000;

interface Move {
  /** The path of the SQLite file. */
  readonly from: string;
  /** The URL of the PostgreSQL database. */
  readonly to: string;
  readonly output: { write(text: string): unknown };
}

/**
 * Copies a SQLite database to an empty PostgreSQL database, including ids, credentials and the change log, so that the cursors of clients stay valid. Meanwhile
 * the SQLite file can be read, and its writers wait. Whenever it is interrupted, at most one of the two databases accepts writes, and a second call continues:
 *
 * 1. The target is marked: servers refuse to start with it, and it rejects writes.
 * 2. In one transaction, everything is copied and compared, and the mark says so. A call after an interruption up to here starts over, since the source may have
 *    changed.
 * 3. The source is sealed: it rejects writes, and names the target. A call after an interruption from here on only does the last step.
 * 4. The target is opened.
 *
 * @throws {AppError} `CONFLICT` when the target is not empty, or when its rows differ from the source after the copy
 */
async function moveDatabase(move: Move): Promise<void> {
  const { from, to, output } = move;
  const source = openSource(from);
  const target = new pg.Client(connectionOf(to));
  // The pending query of a broken connection fails as well.
  target.on('error', () => undefined);
  try {
    await target.connect();
    await lockTarget(target);
    const seal = findSeal(source);
    if (seal) {
      await finish(target, seal, move);
    } else {
      await fill(source, target, move);
    }
    output.write(`Moved. ${from} rejects all writes. Start the server with DATABASE_URL set to the new database.\n`);
  } finally {
    source.close();
    await target.end();
  }
}

function openSource(from: string): Sqlite.Database {
  try {
    const source = openTidings(from);
    source.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
    // The seal has to be on the disk before the target is opened.
    source.pragma('synchronous = FULL');
    return source;
  } catch (error) {
    throw explained(error, from);
  }
}

async function fill(source: Sqlite.Database, target: pg.Client, { from, to, output }: Move): Promise<void> {
  const models = loggedModels(MODELS);
  migrateSqlite(from, (file) => planSqliteTriggers(file, models));
  await migratePostgres(to);
  source.exec('BEGIN IMMEDIATE');
  const other = findSeal(source);
  if (other) {
    throw new AppError('CONFLICT', `${from} was moved to ${other.target} meanwhile.`);
  }
  const id = randomUUID();
  await markTarget(target, { id, source: from, epoch: epochOfSource(source) });
  await inTransaction(target, async () => {
    await copyTables(source, target, output);
    await markCopied(target);
  });
  sealSource(source, { id, target: describeLocation(to) });
  source.exec('COMMIT');
  output.write(`Everything is copied, and ${from} rejects writes.\n`);
  await open(target, from);
}

/** Continues a move that was interrupted after the source was sealed. */
async function finish(target: pg.Client, { id, target: name, at }: Seal, { from }: Move): Promise<void> {
  const mark = await findMoveMark(target);
  if (mark === null || mark.id !== id) {
    throw new AppError(
      'CONFLICT',
      `${from} was moved to ${name}${at === '' ? '' : ` at ${at}`}, and rejects all writes. This target is another database.`,
    );
  }
  if (mark.state !== 'complete') {
    await open(target, from);
  }
}

async function open(target: pg.Client, from: string): Promise<void> {
  try {
    await openTarget(target);
  } catch (error) {
    throw new AppError(
      'CONFLICT',
      `Everything is copied, and ${from} rejects writes, but the target does not yet accept them: ${messageOf(error)}. Run the same command again.`,
    );
  }
}

function epochOfSource(source: Sqlite.Database): string {
  return source.prepare<[], { epoch: string }>('SELECT "epoch" FROM "ChangeEpoch" WHERE "id" = 1').get()?.epoch ?? '';
}

export const move: Command = {
  synopsis: 'move --from F --to T',
  summary: 'copies the SQLite file of the URL F to the empty PostgreSQL database of the URL T',
  run: async ({ args, terminal }) => {
    const { from, to } = readArguments(args);
    try {
      await moveDatabase({ from, to, output: terminal.stdout });
    } catch (error) {
      if (error instanceof AppError || error instanceof StartError) {
        throw error;
      }
      throw new AppError('CONFLICT', `The move was interrupted: ${messageOf(error)}. Run the same command again.`);
    }
    return 0;
  },
};

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
}

function readArguments(args: readonly string[]): { from: string; to: string } {
  const { values } = parseArgs({
    args: [...args],
    options: { from: { type: 'string' }, to: { type: 'string' } },
    strict: false,
  });
  const { from, to } = values;
  const path = typeof from === 'string' ? sqlitePathOf(from) : null;
  if (path === null || typeof to !== 'string' || !/^postgres(ql)?:/.test(to)) {
    throw new AppError('BAD_INPUT', 'Usage: npm run move -- --from file:./data/tidings.db --to postgres://…');
  }
  return { from: path, to };
}
