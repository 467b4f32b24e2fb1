import Sqlite from 'better-sqlite3';
import pg from 'pg';
import { expect, it, onTestFinished } from 'vitest';
import { migratePostgres } from '../../src/database/migrate-postgres.ts';
import { getDatamodel } from '../../src/generated/pothos.ts';
import { privateDatabase } from '../kit/app.ts';
import { Person } from '../kit/person.ts';
import { createDatabase, runSql } from '../kit/postgres.ts';
import { describeWith } from '../kit/present.ts';
import { runCommand, startProcess } from '../kit/process.ts';

interface Column {
  readonly name: string;
  readonly type: string;
  readonly isRequired: boolean;
  readonly isId: boolean;
}

/** The only table whose rows stay: they belong to processes. */
const LEASES = 'Lease';
/** The tables whose rows are not copied: leases, and the progress of the search index, which the target fills anew. */
const NOT_COPIED: ReadonlySet<string> = new Set([LEASES, 'SearchBackfill']);
/** Its rows say where they are stored, too. */
const EPOCHS = 'ChangeEpoch';
/** Not 1: the log of the source does not reach back to its beginning then, so that the target gets no row of its own for it. */
const ROW_IDS = [7, 9] as const;
const AWKWARD_TEXT = `'"\\ \t\n\u{1F600} e\u0301 \u00fc %s $1 {"json": null} ${'long '.repeat(50)}`;
/** Columns that take some texts only. */
const TEXTS: Readonly<Record<string, string>> = { 'User.addableBy': 'CONTACTS', 'User.presence': 'INVISIBLE' };
const SERVER_TIMEOUT_MS = 500;
const WRITERS = 3;
const TIMEOUT_MS = 90_000;

const columnsOf = Object.entries(
  getDatamodel().datamodel.models as unknown as Record<string, { fields: readonly (Column & { kind: string })[] }>,
).map(([table, { fields }]) => [table, fields.filter(({ kind }) => kind === 'scalar')] as const);

const keyOf = (columns: readonly Column[]): string => columns.find(({ isId }) => isId)?.name ?? 'id';

/** A value for a row with this number; of its two rows, the second has no more than the table requires. */
function valueFor(table: string, { name, type, isRequired }: Column, row: number): string | number | Buffer | null {
  if (!isRequired && row === ROW_IDS[1]) {
    return null;
  }
  switch (type) {
    case 'String':
      return TEXTS[`${table}.${name}`] ?? `${table} ${name} ${row} ${row === ROW_IDS[1] ? AWKWARD_TEXT : ''}`;
    case 'DateTime':
      return `20${10 + row}-02-28T23:59:59.00${row}+00:00`;
    case 'Boolean':
      return row === ROW_IDS[0] ? 1 : 0;
    case 'Bytes':
      return Buffer.from([0, 255, 128, row]);
    default:
      // References included: every table has rows with these numbers.
      return row;
  }
}

/** The same value, whichever database gave it. */
function plain(value: unknown, type: string): unknown {
  if (value === null) {
    return null;
  }
  switch (type) {
    case 'Boolean':
      return Boolean(value);
    case 'DateTime':
      return new Date(value as string | Date).toISOString();
    case 'BigInt':
      return Number(value);
    case 'Bytes':
      return Buffer.from(value as Uint8Array).toString('hex');
    default:
      return value;
  }
}

function plainRows(rows: readonly Record<string, unknown>[], columns: readonly Column[]): Record<string, unknown>[] {
  return rows.map((row) => Object.fromEntries(columns.map(({ name, type }) => [name, plain(row[name], type)])));
}

/** Two rows in each table; the log has one of its own already that says which log it is. */
function fill(path: string): void {
  const file = new Sqlite(path);
  file.pragma('foreign_keys = OFF');
  for (const [table, columns] of columnsOf) {
    const names = columns.map(({ name }) => `"${name}"`).join(', ');
    const insert = file.prepare(`INSERT INTO "${table}" (${names}) VALUES (${columns.map(() => '?').join(', ')})`);
    for (const row of ROW_IDS) {
      insert.run(columns.map((column) => valueFor(table, column, row)));
    }
  }
  expect(file.pragma('foreign_key_check')).toEqual([]);
  file.close();
}

/** An installation on SQLite and an empty database for it. */
async function installations() {
  const file = privateDatabase();
  const target = await createDatabase();
  onTestFinished(async () => {
    await target.remove();
    file.remove();
  });
  return { file, target };
}

describeWith('postgres', 'a move to PostgreSQL', () => {
  it('should copy every row of every model, but for the leases of processes', async () => {
    const { file, target } = await installations();
    fill(file.path);
    const moved = await runCommand(['move', '--from', `file:${file.path}`, '--to', target.url], {});
    expect(moved, moved.output).toMatchObject({ code: 0 });
    const source = new Sqlite(file.path);
    for (const [table, columns] of columnsOf) {
      const select = `SELECT * FROM "${table}" ORDER BY "${keyOf(columns)}"`;
      const sent = plainRows(source.prepare<[], Record<string, unknown>>(select).all(), columns);
      const arrived = plainRows(await runSql(target.url, select), columns);
      for (const row of table === EPOCHS ? [...sent, ...arrived] : []) {
        row['storage'] = null;
      }
      expect(sent.length, table).toBeGreaterThanOrEqual(ROW_IDS.length);
      expect(arrived, table).toEqual(NOT_COPIED.has(table) ? [] : sent);
    }
    source.close();
  });

  it('should hold every acknowledged write, and none that was refused, while clients go on writing', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const { file, target } = await installations();
    await migratePostgres(target.url);
    const old = await startProcess({
      DATABASE_URL: `file:${file.path}`,
      DATABASE_TIMEOUT_MS: String(SERVER_TIMEOUT_MS),
    });
    onTestFinished(async () => {
      await old.stop();
    });
    const visitor = new Person(old.url, null, '');
    const acknowledged: string[] = [];
    const refused: string[] = [];
    let isMoved = false;
    const write = async (writer: number): Promise<void> => {
      for (let count = 0, refusedSince = 0; refusedSince < 2; count += 1) {
        const title = `todo ${count} of writer ${writer}`;
        const { data } = await visitor.ask(
          'mutation ($title: String!) { createTodo(input: { title: $title }) { ... on Todo { id } } }',
          { title },
        );
        const isDone = data?.createTodo?.id !== undefined;
        (isDone ? acknowledged : refused).push(title);
        refusedSince += isMoved && !isDone ? 1 : 0;
      }
    };
    const writing = Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
    // A test that fails stops the server while they write.
    writing.catch(() => undefined);
    await expect.poll(() => acknowledged.length).toBeGreaterThan(3 * WRITERS);

    // This lock stops the copy after its rows, which no other transaction sees yet.
    const blocker = new pg.Client({ connectionString: target.url });
    // A test that fails removes the database while this is connected.
    blocker.on('error', () => undefined);
    await blocker.connect();
    await blocker.query('BEGIN; ALTER SEQUENCE "Note_id_seq" CACHE 1');
    const moving = runCommand(['move', '--from', `file:${file.path}`, '--to', target.url], {});
    const waiting = `SELECT count(*)::int AS "n" FROM "pg_locks" WHERE "relation" = '"Note_id_seq"'::regclass AND NOT "granted"`;
    const isStopped = expect
      .poll(async () => (await runSql(target.url, waiting))[0]?.['n'], { timeout: 60_000 })
      .toBe(1);
    const hasEnded = moving.then(({ output }) => expect.fail(`The move ended before it was stopped: ${output}`));
    await Promise.race([isStopped, hasEnded]);
    hasEnded.catch(() => undefined);
    const countOfTodos = async () => (await visitor.gql('{ todos { totalCount } }')).todos.totalCount;
    const before = await countOfTodos();
    // Readers go on meanwhile; writers wait until their time is up.
    await expect.poll(() => refused.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(2 * WRITERS);
    expect(await countOfTodos()).toBe(before);
    expect(acknowledged).toHaveLength(before);
    await blocker.end();

    const moved = await moving;
    expect(moved, moved.output).toMatchObject({ code: 0 });
    isMoved = true;
    await writing;
    const titles = await runSql(target.url, 'SELECT "title" FROM "Todo"');
    expect(titles.map(({ title }) => title).sort()).toEqual(acknowledged.sort());
  });
});
