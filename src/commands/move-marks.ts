import { setTimeout as pause } from 'node:timers/promises';
import type Sqlite from 'better-sqlite3';
import type pg from 'pg';
import { lockStart } from '../database/migration-lock.ts';
import { findMoveMark, MOVE_TABLE, type MoveMark, SEAL_PREFIX } from '../database/moves.ts';
import { AppError } from '../errors.ts';
import { tablesToCopy } from './move-copy.ts';

/** The advisory lock of the process that moves a database to this one; an arbitrary number. */
const MOVE_LOCK = 0x7469_6d76;
/** How long a process that was killed may still seem to be connected, in milliseconds. */
const LOCK_TIMEOUT_MS = 4_000;
const RETRY_DELAY_MS = 250;
const REJECTION = 'tidings_reject_writes';
const EVENTS = ['INSERT', 'UPDATE', 'DELETE'];

/**
 * Locks the target for this process until its connection ends.
 *
 * @throws {AppError} `CONFLICT` when another process moves a database to it
 */
export async function lockTarget(target: pg.Client): Promise<void> {
  // So that the server ends the transaction of a killed process soon, also while it waits for a lock. Not every platform supports it.
  await target.query(`SET client_connection_check_interval = '1s'`).catch(() => undefined);
  const deadline = performance.now() + LOCK_TIMEOUT_MS;
  for (;;) {
    const { rows } = await target.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS "locked"', [
      MOVE_LOCK,
    ]);
    if (rows[0]?.locked) {
      return;
    }
    if (performance.now() > deadline) {
      throw new AppError('CONFLICT', 'Another process moves a database to this target. Wait until it has ended.');
    }
    await pause(RETRY_DELAY_MS);
  }
}

/**
 * Marks the target as being filled, and makes it reject the writes of servers. An empty target is accepted, and one that an interrupted move of the same source
 * left.
 *
 * @throws {AppError} `CONFLICT` when the target has rows, or the mark of another source
 */
export async function markTarget(target: pg.Client, mark: Omit<MoveMark, 'state'>): Promise<void> {
  await inTransaction(target, async () => {
    // Servers look for the mark under the same lock.
    await lockStart(target);
    const tables = tablesToCopy().map(({ name }) => `"${name}"`);
    await target.query(`LOCK TABLE ${tables.join(', ')} IN SHARE ROW EXCLUSIVE MODE`);
    const present = await findMoveMark(target);
    if (present) {
      requireOwnMark(present, mark);
    } else {
      await requireEmptyTarget(target);
      await target.query(
        `CREATE TABLE "${MOVE_TABLE}" ("id" TEXT NOT NULL, "state" TEXT NOT NULL, "source" TEXT NOT NULL, "epoch" TEXT NOT NULL)`,
      );
    }
    await target.query(`DELETE FROM "${MOVE_TABLE}"`);
    await target.query(
      `INSERT INTO "${MOVE_TABLE}" ("id", "state", "source", "epoch") VALUES ($1, 'filling', $2, $3)`,
      [mark.id, mark.source, mark.epoch],
    );
    await target.query(rejectionScript(tables));
  });
}

function requireOwnMark(present: MoveMark, { epoch }: Pick<MoveMark, 'epoch'>): void {
  if (present.state === 'complete') {
    throw new AppError('CONFLICT', `The target is not empty: ${present.source} was moved to it. Use a new database.`);
  }
  if (present.epoch !== epoch) {
    throw new AppError(
      'CONFLICT',
      `The target has a part of another database, ${present.source}, whose move was interrupted. Use a new database, or drop this one and create it again.`,
    );
  }
}

/** @throws {AppError} `CONFLICT` when a table to copy has rows */
async function requireEmptyTarget(target: pg.Client): Promise<void> {
  for (const { name } of tablesToCopy()) {
    const own = name === 'ChangeEpoch' ? 'false' : name === 'Change' ? `"model" <> 'Beginning'` : 'true';
    const { rows } = await target.query(`SELECT 1 FROM "${name}" WHERE ${own} LIMIT 1`);
    if (rows.length > 0) {
      throw new AppError('CONFLICT', `The target is not empty: it has rows in "${name}". Use a new database.`);
    }
  }
}

function rejectionScript(tables: readonly string[]): string {
  const triggers = tables.map(
    (table) =>
      `CREATE OR REPLACE TRIGGER ${REJECTION} BEFORE INSERT OR UPDATE OR DELETE ON ${table} EXECUTE FUNCTION ${REJECTION}();`,
  );
  return `CREATE OR REPLACE FUNCTION ${REJECTION}() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN RAISE EXCEPTION 'This database is being filled by move and rejects writes.'; END $body$;
    ${triggers.join('\n')}`;
}

/** Marks the target as complete, within the transaction of the copy. */
export async function markCopied(target: pg.Client): Promise<void> {
  await target.query(`UPDATE "${MOVE_TABLE}" SET "state" = 'copied'`);
}

/** Lets the target be served, once the source rejects writes. */
export async function openTarget(target: pg.Client): Promise<void> {
  await inTransaction(target, async () => {
    await target.query(`UPDATE "${MOVE_TABLE}" SET "state" = 'complete'`);
    await target.query(`DROP FUNCTION ${REJECTION}() CASCADE`);
  });
}

/** Makes the source reject every write, and records where it was moved. Call it in a transaction. */
export function sealSource(
  source: Sqlite.Database,
  { id, target }: { readonly id: string; readonly target: string },
): void {
  source.exec(`CREATE TABLE "${MOVE_TABLE}" ("id" TEXT NOT NULL, "target" TEXT NOT NULL, "at" TEXT NOT NULL)`);
  source
    .prepare(`INSERT INTO "${MOVE_TABLE}" ("id", "target", "at") VALUES (?, ?, ?)`)
    .run(id, target, new Date().toISOString());
  for (const { name } of tablesToCopy()) {
    for (const event of EVENTS) {
      source.exec(
        `CREATE TRIGGER "${SEAL_PREFIX}${name}_${event.toLowerCase()}" BEFORE ${event} ON "${name}"
         BEGIN SELECT RAISE(ABORT, 'This database was moved to PostgreSQL and rejects writes.'); END`,
      );
    }
  }
}

/** Runs statements in a transaction, which is rolled back when they fail. */
export async function inTransaction(target: pg.Client, work: () => Promise<void>): Promise<void> {
  await target.query('BEGIN');
  try {
    await work();
    await target.query('COMMIT');
  } catch (error) {
    await target.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
