import type Sqlite from 'better-sqlite3';
import type pg from 'pg';

/**
 * The log of a restored copy lacks changes that clients have received, and gives their numbers to other ones. So a copy gets a new epoch before it is served, with which
 * the cursors from before are refused. A copy is recognised by `ChangeEpoch.storage`, which is written where the database is served, and copied with the rest.
 *
 * On SQLite it is {@link SERVED} in a database that a server has opened, which is always in the WAL mode. The copies of `VACUUM INTO` and of a dump are not, and
 * those of `npm run backup` say {@link COPY}. On PostgreSQL it is the identity of the database, which a restart does not change.
 */
const SERVED = 'wal';
const COPY = 'copy';
const NEW_EPOCH = 'lower(hex(randomblob(8)))';

/** Gives the log of a SQLite database a new epoch if the database is a copy. Call it before the journal mode is changed. */
export function renewEpochOfSqliteCopy(database: Sqlite.Database): void {
  if (isCopy(database)) {
    // Of several processes that start together, one renews it.
    database.transaction(() => isCopy(database) && renewSqliteEpoch(database)).immediate();
  }
}

function isCopy(database: Sqlite.Database): boolean {
  const storage = hasStorage(database) ? storageOf(database) : null;
  return storage === COPY || (storage === SERVED && !isInWalMode(database));
}

/** Gives the log of a SQLite database a new epoch. */
export function renewSqliteEpoch(database: Sqlite.Database): void {
  database.exec(`UPDATE "ChangeEpoch" SET "epoch" = ${NEW_EPOCH}, "storage" = NULL WHERE "id" = 1`);
}

/** Records that a server uses this migrated database. A file system without shared memory does not allow the WAL mode; there, such copies are not recognised. */
export function recordSqliteStorage(database: Sqlite.Database): void {
  if (isInWalMode(database) && storageOf(database) !== SERVED) {
    database.prepare('UPDATE "ChangeEpoch" SET "storage" = ? WHERE "id" = 1').run(SERVED);
  }
}

/** Marks a SQLite database as a copy, so that its log gets a new epoch when a server opens it. One of an earlier version gets it now. */
export function markAsCopy(database: Sqlite.Database): void {
  if (hasStorage(database)) {
    database.prepare('UPDATE "ChangeEpoch" SET "storage" = ? WHERE "id" = 1').run(COPY);
  } else {
    database.exec(`UPDATE "ChangeEpoch" SET "epoch" = ${NEW_EPOCH} WHERE "id" = 1`);
  }
}

function hasStorage(database: Sqlite.Database): boolean {
  return (
    database.prepare(`SELECT 1 FROM pragma_table_info('ChangeEpoch') WHERE "name" = 'storage'`).get() !== undefined
  );
}

function storageOf(database: Sqlite.Database): string | null {
  const row = database
    .prepare<[], { storage: string | null }>('SELECT "storage" FROM "ChangeEpoch" WHERE "id" = 1')
    .get();
  return row?.storage ?? null;
}

function isInWalMode(database: Sqlite.Database): boolean {
  return database.pragma('journal_mode', { simple: true }) === 'wal';
}

/** The identity of a PostgreSQL database that the server's role may not read. */
const UNKNOWN = '-';

/**
 * Gives the log of a PostgreSQL database a new epoch if the database is a copy, and records where it is stored. The identity consists of those of the server, the
 * database and the table: `pg_restore` makes new tables, also in a database of the same name. Call it in the transaction of the migrations, which one process at
 * a time runs.
 */
export async function renewEpochOfPostgresCopy(client: pg.Client): Promise<void> {
  const identity = await identityOf(client);
  const { rows } = await client.query<{ storage: string | null }>('SELECT "storage" FROM "ChangeEpoch" WHERE "id" = 1');
  const recorded = rows[0]?.storage ?? null;
  if (recorded === identity) {
    return;
  }
  if (recorded !== null && differs(recorded, identity)) {
    await client.query(
      `UPDATE "ChangeEpoch" SET "epoch" = substr(replace(gen_random_uuid()::text, '-', ''), 1, 16) WHERE "id" = 1`,
    );
  }
  await client.query('UPDATE "ChangeEpoch" SET "storage" = $1 WHERE "id" = 1', [identity]);
}

/** Records where the log of a PostgreSQL database is stored, which was filled with the log of another database. */
export async function recordPostgresStorage(client: pg.Client): Promise<void> {
  await client.query('UPDATE "ChangeEpoch" SET "storage" = $1', [await identityOf(client)]);
}

async function identityOf(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ database: string; table: string; isReadable: boolean }>(
    `SELECT d.oid::text AS "database", '"ChangeEpoch"'::regclass::oid::text AS "table",
       coalesce(has_function_privilege(to_regprocedure('pg_control_system()')::oid, 'execute'), false) AS "isReadable"
     FROM pg_database AS d WHERE d.datname = current_database()`,
  );
  const [row] = rows;
  return [row?.isReadable ? await serverOf(client) : UNKNOWN, row?.database ?? UNKNOWN, row?.table ?? UNKNOWN].join(
    ' ',
  );
}

async function serverOf(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ id: string }>(
    'SELECT system_identifier::text AS "id" FROM pg_control_system()',
  );
  return rows[0]?.id ?? UNKNOWN;
}

/** Returns whether two identities differ in a part that is known in both: the privileges of the role may have changed. */
function differs(recorded: string, identity: string): boolean {
  const before = recorded.split(' ');
  return identity
    .split(' ')
    .some((part, index) => part !== UNKNOWN && ![part, UNKNOWN, undefined].includes(before[index]));
}
