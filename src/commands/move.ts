import { createHash, type Hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import Sqlite from 'better-sqlite3';
import pg from 'pg';
import { loggedModels } from '../changes/logged-models.ts';
import { planSqliteTriggers } from '../changes/sqlite-triggers.ts';
import { type ColumnKind, columnsOf, modelsByReference, primaryKeyOf } from '../database/columns.ts';
import { migratePostgres } from '../database/migrate-postgres.ts';
import { migrateSqlite } from '../database/migrate-sqlite.ts';
import { connectionOf } from '../database/postgres-connection.ts';
import { AppError } from '../errors.ts';
import type { Command } from '../slice.ts';
import { MODELS } from '../slices.ts';

/** The models whose rows belong to running processes and are not copied. */
const NOT_COPIED: ReadonlySet<string> = new Set(['Lease']);

const BATCH = 1000;

type Value = string | number | boolean | null;

interface Table {
  readonly name: string;
  readonly key: string;
  readonly columns: ReadonlyMap<string, ColumnKind>;
}

/** Returns the tables to copy, each after the tables that it refers to. */
function tablesToCopy(): Table[] {
  return modelsByReference()
    .filter((name) => !NOT_COPIED.has(name))
    .map((name) => ({ name, key: primaryKeyOf(name), columns: columnsOf(name) }));
}

const POSTGRES_TYPES: Readonly<Record<ColumnKind, string>> = {
  Int: 'integer',
  BigInt: 'bigint',
  String: 'text',
  Boolean: 'boolean',
  DateTime: 'timestamptz',
  Bytes: 'text',
};

/**
 * Copies a SQLite database to an empty PostgreSQL database, including ids, credentials and the change log, so that the cursors of clients stay valid. Meanwhile
 * the SQLite file can be read, and its writers wait. After the copy is verified the file rejects all writes, so that no write is lost. The copy is
 * all or nothing.
 *
 * @throws {AppError} `CONFLICT` when the target is not empty, or when its rows differ from the source after the copy
 */
async function moveDatabase(args: readonly string[], output: { write(text: string): unknown }): Promise<void> {
  const { from, to } = readArguments(args);
  const models = loggedModels(MODELS);
  migrateSqlite(from, (file) => planSqliteTriggers(file, models));
  await migratePostgres(to);
  const source = new Sqlite(from, { timeout: 60_000 });
  const target = new pg.Client(connectionOf(to));
  try {
    await target.connect();
    source.exec('BEGIN IMMEDIATE');
    await target.query('BEGIN');
    await requireEmptyTarget(target);
    await target.query('DELETE FROM "Change"; DELETE FROM "ChangeEpoch"');
    for (const table of tablesToCopy()) {
      await copyTable(source, target, table, output);
    }
    await markBeginning(source, target);
    for (const table of tablesToCopy()) {
      await continueSequence(source, target, table);
    }
    await target.query('COMMIT');
    rejectWrites(source);
    source.exec('COMMIT');
    output.write(
      `Moved. ${from} now rejects all writes. Start the server with DATABASE_URL set to the new database.\n`,
    );
  } finally {
    source.close();
    await target.end();
  }
}

export const move: Command = {
  synopsis: 'move --from F --to T',
  summary: 'copies the SQLite file of the URL F to the empty PostgreSQL database of the URL T',
  run: async ({ args, terminal }) => {
    await moveDatabase(args, terminal.stdout);
    return 0;
  },
};

function readArguments(args: readonly string[]): { from: string; to: string } {
  const { values } = parseArgs({
    args: [...args],
    options: { from: { type: 'string' }, to: { type: 'string' } },
    strict: false,
  });
  const { from, to } = values;
  if (typeof from !== 'string' || !from.startsWith('file:') || typeof to !== 'string' || !/^postgres(ql)?:/.test(to)) {
    throw new AppError('BAD_INPUT', 'Usage: npm run move -- --from file:./data/tidings.db --to postgres://…');
  }
  const path = resolve(from.slice('file:'.length));
  if (!existsSync(path)) {
    throw new AppError('NOT_FOUND', `There is no file ${path}.`);
  }
  return { from: path, to };
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

async function copyTable(
  source: Sqlite.Database,
  target: pg.Client,
  table: Table,
  output: { write(text: string): unknown },
): Promise<void> {
  const { name, key, columns } = table;
  const total = source.prepare<[], { n: number }>(`SELECT count(*) AS "n" FROM "${name}"`).get()?.n ?? 0;
  const sent = createHash('sha256');
  let count = 0;
  let batch: Record<string, Value>[] = [];
  const flush = async (): Promise<void> => {
    await insert(target, table, batch);
    count += batch.length;
    batch = [];
    output.write(`${name}: ${count} of ${total}\n`);
  };
  // The log is copied, so the triggers must not log the copied rows again.
  await target.query(`ALTER TABLE "${name}" DISABLE TRIGGER USER`);
  for (const row of source
    .prepare<[], Record<string, unknown>>(`SELECT * FROM "${name}" ORDER BY "${key}"`)
    .iterate()) {
    const values = Object.fromEntries([...columns].map(([column, kind]) => [column, normalised(row[column], kind)]));
    digest(sent, values);
    batch.push(values);
    if (batch.length === BATCH) {
      await flush();
    }
  }
  await flush();
  await target.query(`ALTER TABLE "${name}" ENABLE TRIGGER USER`);
  await verify(target, table, { count, checksum: sent.digest('hex') });
}

async function insert(
  target: pg.Client,
  { name, columns }: Table,
  rows: readonly Record<string, Value>[],
): Promise<void> {
  if (rows.length === 0) {
    return;
  }
  const names = [...columns.keys()].map((column) => `"${column}"`).join(', ');
  const values = [...columns].map(([column, kind]) =>
    kind === 'Bytes' ? `decode("${column}", 'base64')` : `"${column}"`,
  );
  const shape = [...columns].map(([column, kind]) => `"${column}" ${POSTGRES_TYPES[kind]}`).join(', ');
  await target.query(
    `INSERT INTO "${name}" (${names}) SELECT ${values.join(', ')} FROM json_to_recordset($1::json) AS r(${shape})`,
    [JSON.stringify(rows)],
  );
}

/** @throws {AppError} `CONFLICT` when the rows of the target differ from those that were copied */
async function verify(
  target: pg.Client,
  { name, key, columns }: Table,
  expected: { readonly count: number; readonly checksum: string },
): Promise<void> {
  const found = createHash('sha256');
  let count = 0;
  let last: unknown = null;
  for (;;) {
    const { rows } = await target.query<Record<string, unknown>>(
      `SELECT * FROM "${name}" WHERE ($1::text IS NULL OR "${key}" > $1::${POSTGRES_TYPES[columns.get(key) ?? 'Int']}) ORDER BY "${key}" LIMIT ${BATCH}`,
      [last],
    );
    for (const row of rows) {
      digest(found, Object.fromEntries([...columns].map(([column, kind]) => [column, normalised(row[column], kind)])));
    }
    count += rows.length;
    last = rows.at(-1)?.[key];
    if (rows.length < BATCH) {
      break;
    }
  }
  if (count !== expected.count || found.digest('hex') !== expected.checksum) {
    throw new AppError(
      'CONFLICT',
      `The copy of "${name}" differs from the source: it has ${count} rows, and the source has ${expected.count}. Nothing was changed.`,
    );
  }
}

/** Returns a value in a form that is the same for both databases. */
function normalised(value: unknown, kind: ColumnKind): Value {
  if (value === null || value === undefined) {
    return null;
  }
  switch (kind) {
    case 'Int':
    case 'BigInt':
      return Number(value);
    case 'Boolean':
      return Boolean(value);
    case 'DateTime':
      return (value instanceof Date ? value : new Date(value as string | number)).toISOString();
    case 'Bytes':
      return Buffer.from(value as Uint8Array).toString('base64');
    case 'String':
      return String(value);
  }
}

function digest(hash: Hash, row: Readonly<Record<string, Value>>): void {
  hash.update(JSON.stringify(Object.values(row)));
}

/** Marks the log as complete if it is complete in the source, so that cursors from before its first change stay valid. */
async function markBeginning(source: Sqlite.Database, target: pg.Client): Promise<void> {
  const first =
    source.prepare<[], { seq: number | null }>('SELECT min("seq") AS "seq" FROM "Change"').get()?.seq ?? null;
  if (first === null || first === 1) {
    await target.query(
      `INSERT INTO "Change" ("seq", "model", "rowId", "action", "at") VALUES (0, 'Beginning', 0, 'INSERT', to_timestamp(0))`,
    );
  }
}

/** Continues the sequence of ids of SQLite, so that the ids of deleted rows are not used again. */
async function continueSequence(
  source: Sqlite.Database,
  target: pg.Client,
  { name, key, columns }: Table,
): Promise<void> {
  const last = source
    .prepare<[string], { seq: number }>('SELECT "seq" FROM "sqlite_sequence" WHERE "name" = ?')
    .get(name);
  if (columns.get(key) !== 'String' && name !== 'ChangeEpoch') {
    await target.query(`SELECT setval(pg_get_serial_sequence('"${name}"', '${key}'), $1)`, [
      Math.max(last?.seq ?? 1, 1),
    ]);
  }
}

/** Adds triggers that reject every write to the SQLite database. */
function rejectWrites(source: Sqlite.Database): void {
  for (const { name } of tablesToCopy()) {
    for (const event of ['INSERT', 'UPDATE', 'DELETE']) {
      source.exec(
        `CREATE TRIGGER "tidings_moved_${name}_${event.toLowerCase()}" BEFORE ${event} ON "${name}"
         BEGIN SELECT RAISE(ABORT, 'This database was moved to PostgreSQL and rejects writes.'); END`,
      );
    }
  }
}
