import { createHash, type Hash } from 'node:crypto';
import type Sqlite from 'better-sqlite3';
import type pg from 'pg';
import { type ColumnKind, columnsOf, modelsByReference, primaryKeyOf } from '../database/columns.ts';
import { recordPostgresStorage } from '../database/copies.ts';
import { AppError } from '../errors.ts';

/** The models whose rows belong to running processes, and the progress of the search index, which the target fills anew; they are not copied. */
const NOT_COPIED: ReadonlySet<string> = new Set(['Lease', 'SearchBackfill']);

const BATCH = 1000;

type Value = string | number | boolean | null;

/** A table, as both databases have it. */
export interface Table {
  readonly name: string;
  readonly key: string;
  readonly columns: ReadonlyMap<string, ColumnKind>;
}

/** Returns the tables to copy, each after the tables that it refers to. */
export function tablesToCopy(): Table[] {
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
 * Copies the rows of all tables within a transaction of each database, and compares them. Tables of the target that have rows are emptied first. The log is copied
 * as well, and its sequence and those of ids continue.
 *
 * @throws {AppError} `CONFLICT` when the rows of the target differ from the source after the copy
 */
export async function copyTables(
  source: Sqlite.Database,
  target: pg.Client,
  output: { write(text: string): unknown },
): Promise<void> {
  const tables = tablesToCopy();
  const progress = new Progress(source, tables, output);
  // The log is copied, so the triggers must not log the copied rows again; others reject the writes of servers.
  await target.query(tables.map(({ name }) => `ALTER TABLE "${name}" DISABLE TRIGGER USER;`).join(' '));
  // A row may refer to a row of its own table that is copied in a later batch.
  await target.query('SET CONSTRAINTS ALL DEFERRED');
  await target.query(`TRUNCATE ${tables.map(({ name }) => `"${name}"`).join(', ')}, "SearchEntry", "SearchBackfill"`);
  for (const table of tables) {
    await copyTable(source, target, table, progress);
  }
  await markBeginning(source, target);
  for (const table of tables) {
    await continueSequence(source, target, table);
  }
  await recordPostgresStorage(target);
  await target.query('SET CONSTRAINTS ALL IMMEDIATE');
  await target.query(tables.map(({ name }) => `ALTER TABLE "${name}" ENABLE TRIGGER USER;`).join(' '));
}

/** Writes a line for each batch of rows: the rows of the table, and the percentage of all rows. */
class Progress {
  readonly #totals: ReadonlyMap<string, number>;
  readonly #all: number;
  readonly #output: { write(text: string): unknown };
  #done = 0;

  constructor(source: Sqlite.Database, tables: readonly Table[], output: { write(text: string): unknown }) {
    this.#totals = new Map(
      tables.map(({ name }) => [
        name,
        source.prepare<[], { n: number }>(`SELECT count(*) AS "n" FROM "${name}"`).get()?.n ?? 0,
      ]),
    );
    this.#all = [...this.#totals.values()].reduce((sum, count) => sum + count, 0);
    this.#output = output;
  }

  add(name: string, rows: number, copied: number): void {
    this.#done += rows;
    const percentage = this.#all === 0 ? 100 : Math.floor((100 * this.#done) / this.#all);
    this.#output.write(`${name}: ${copied} of ${this.#totals.get(name) ?? 0}, ${percentage} % of all rows\n`);
  }
}

async function copyTable(source: Sqlite.Database, target: pg.Client, table: Table, progress: Progress): Promise<void> {
  const { name, key, columns } = table;
  const sent = createHash('sha256');
  let count = 0;
  let batch: Record<string, Value>[] = [];
  const flush = async (): Promise<void> => {
    await insert(target, table, batch);
    count += batch.length;
    progress.add(name, batch.length, count);
    batch = [];
  };
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
