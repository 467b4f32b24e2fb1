import { createHash, type Hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import Sqlite from 'better-sqlite3';
import pg from 'pg';
import { loggedModels } from '../changes/logged-models.ts';
import { installSqliteTriggers } from '../changes/sqlite-triggers.ts';
import { migratePostgres } from '../database/migrate-postgres.ts';
import { migrateSqlite } from '../database/migrate-sqlite.ts';
import { AppError } from '../errors.ts';
import { getDatamodel } from '../generated/pothos.ts';
import { SLICES } from '../slices.ts';

/** Every table that moves, each after those that it refers to. Leases stay: they belong to processes. */
const TABLES = [
  'User',
  'AuthToken',
  'Session',
  'RefreshToken',
  'TodoList',
  'Todo',
  'Post',
  'ChatSession',
  'ChatMember',
  'ChatRemoval',
  'ChatMessage',
  'Note',
  'AuditEntry',
  'Change',
  'ChangeEpoch',
  'IdempotencyKey',
  'LogPosition',
  'InboundMessage',
  'RateLimit',
] as const;

const BATCH = 1000;

type Kind = 'Int' | 'BigInt' | 'String' | 'Boolean' | 'DateTime' | 'Bytes';
type Value = string | number | boolean | null;

interface Table {
  readonly name: string;
  readonly key: string;
  readonly columns: ReadonlyMap<string, Kind>;
}

const POSTGRES_TYPES: Readonly<Record<Kind, string>> = {
  Int: 'integer',
  BigInt: 'bigint',
  String: 'text',
  Boolean: 'boolean',
  DateTime: 'timestamptz',
  Bytes: 'text',
};

/**
 * Copies a SQLite installation to an empty PostgreSQL database: ids, credentials and the change log included, so that clients go on with the
 * cursors that they hold. Readers of the SQLite file are not disturbed; its writers wait, and once all is copied and verified the file takes
 * no more writes, so that none can get lost on the way. All of it happens, or nothing does.
 *
 * @throws {AppError} `CONFLICT` when the target is not empty, or does not hold afterwards what the source holds
 */
export async function move(args: readonly string[], output: { write(text: string): unknown }): Promise<void> {
  const { from, to } = readArguments(args);
  const models = loggedModels(Object.assign({}, ...SLICES.map(({ log }) => log)));
  migrateSqlite(from, (file) => installSqliteTriggers(file, models));
  await migratePostgres(to);
  const source = new Sqlite(from, { timeout: 60_000 });
  const target = new pg.Client({ connectionString: to });
  try {
    await target.connect();
    source.exec('BEGIN IMMEDIATE');
    await target.query('BEGIN');
    await refuseUnlessEmpty(target);
    await target.query('DELETE FROM "Change"; DELETE FROM "ChangeEpoch"');
    for (const table of tables()) {
      await copyTable(source, target, table, output);
    }
    await adoptBeginning(source, target);
    for (const table of tables()) {
      await continueNumbers(source, target, table);
    }
    await target.query('COMMIT');
    refuseWrites(source);
    source.exec('COMMIT');
    output.write(`Moved. ${from} takes no more writes: start the server with DATABASE_URL set to the new database.\n`);
  } finally {
    source.close();
    await target.end();
  }
}

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

function tables(): Table[] {
  const { models } = getDatamodel().datamodel as {
    models: Record<string, { fields: readonly { name: string; kind: string; type: string; isId: boolean }[] }>;
  };
  return TABLES.map((name) => {
    const scalars = (models[name]?.fields ?? []).filter(({ kind }) => kind === 'scalar');
    const key = scalars.find(({ isId }) => isId)?.name ?? 'id';
    return { name, key, columns: new Map(scalars.map(({ name, type }) => [name, type as Kind])) };
  });
}

async function refuseUnlessEmpty(target: pg.Client): Promise<void> {
  for (const name of TABLES) {
    const own = name === 'ChangeEpoch' ? 'false' : name === 'Change' ? `"model" <> 'Beginning'` : 'true';
    const { rows } = await target.query(`SELECT 1 FROM "${name}" WHERE ${own} LIMIT 1`);
    if (rows.length > 0) {
      throw new AppError('CONFLICT', `The target is not empty: it has rows in "${name}".`);
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
  // A captured change must not be captured again.
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
    throw new AppError('CONFLICT', `"${name}" did not arrive as it was: ${count} of ${expected.count} rows.`);
  }
}

/** A value in a form that both databases give it alike. */
function normalised(value: unknown, kind: Kind): Value {
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

/** A log that reaches back to its beginning still does: cursors from before the first change go on, too. */
async function adoptBeginning(source: Sqlite.Database, target: pg.Client): Promise<void> {
  const first =
    source.prepare<[], { seq: number | null }>('SELECT min("seq") AS "seq" FROM "Change"').get()?.seq ?? null;
  if (first === null || first === 1) {
    await target.query(
      `INSERT INTO "Change" ("seq", "model", "rowId", "action", "at") VALUES (0, 'Beginning', 0, 'INSERT', to_timestamp(0))`,
    );
  }
}

/** Goes on numbering where SQLite would have: numbers of rows that are gone are not given again. */
async function continueNumbers(
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

function refuseWrites(source: Sqlite.Database): void {
  for (const name of TABLES) {
    for (const event of ['INSERT', 'UPDATE', 'DELETE']) {
      source.exec(
        `CREATE TRIGGER "tidings_moved_${name}_${event.toLowerCase()}" BEFORE ${event} ON "${name}"
         BEGIN SELECT RAISE(ABORT, 'This database was moved to PostgreSQL.'); END`,
      );
    }
  }
}
