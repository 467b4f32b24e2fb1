import { execFile } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createBackup } from '../src/backup/backup.ts';
import { privateDatabase, startApp } from './kit/app.ts';
import { runHere } from './kit/command.ts';
import { Person } from './kit/person.ts';
import { type ServerProcess, startProcess } from './kit/process.ts';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const TODO = 'mutation ($title: String!) { createTodo(input: { title: $title }) { ... on Todo { id } } }';
const SECRET_KEY = '9f1c27b0e84d635a7210fbce4496d83b';
const WRITERS = 3;
const OWNER_ONLY = 0o600;
/** The header of a page that is no page of a table. */
const GARBAGE = Buffer.alloc(4096, 7);

const modeOf = (path: string): number => statSync(path).mode & 0o777;

/** Runs SQL on a file; returns the rows of the last statement. */
function sqlOn(path: string, sql: string): unknown[] {
  const file = new Sqlite(path);
  try {
    const statement = file.prepare(sql);
    return statement.reader ? statement.all() : [statement.run()];
  } finally {
    file.close();
  }
}

const titlesIn = (path: string) =>
  (sqlOn(path, 'SELECT "title" FROM "Todo" ORDER BY "id"') as { title: string }[]).map(({ title }) => title);

describe('a database that is served', () => {
  const { folder, path, remove } = privateDatabase();
  const env = { DATABASE_URL: `file:${path}` };
  const scheduled = join(folder, 'scheduled');
  let server: ServerProcess;
  beforeAll(async () => {
    mkdirSync(scheduled);
    const [old, others] = [
      ['tidings-20200101T000000Z.db', 'tidings-20200101T000000Z.db.secret', 'tidings-20200102T000000Z.db'],
      ['mine.db', 'tidings-mine.db', 'other-20200101T000000Z.db', 'tidings-20200101T000000Z.db.gz'],
    ];
    for (const name of [...old, ...others, 'tidings-20200103T000000Z.db.partial-0a1b2c']) {
      writeFileSync(join(scheduled, name), '');
    }
    server = await startProcess({
      ...env,
      WEB_CONCURRENCY: '2',
      BACKUP_DIR: scheduled,
      BACKUP_INTERVAL_S: '3600',
      BACKUP_KEEP: '2',
      LOG_LEVEL: 'info',
    });
  });
  afterAll(async () => {
    await server.stop();
    remove();
  });

  it('should be backed up while clients write, with all that was acknowledged before', async () => {
    const visitor = new Person(server.url, null, '');
    const acknowledged: string[] = [];
    let isDone = false;
    const write = async (writer: number): Promise<void> => {
      for (let count = 0; !isDone; count += 1) {
        const title = `${writer}-${count}`;
        await visitor.gql(TODO, { title });
        acknowledged.push(title);
      }
    };
    const writing = Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
    await expect.poll(() => acknowledged.length).toBeGreaterThan(10);
    const before = [...acknowledged];
    const backup = join(folder, 'online.db');
    const { code, output } = await runHere(['backup', backup], env);
    isDone = true;
    await writing;
    expect([code, output]).toEqual([0, expect.stringContaining('The copy was checked.')]);
    expect(sqlOn(backup, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
    expect(titlesIn(backup)).toEqual(expect.arrayContaining(before));
    expect([backup, `${backup}.secret`].map(modeOf)).toEqual([OWNER_ONLY, OWNER_ONLY]);
    expect(readFileSync(`${backup}.secret`)).toEqual(readFileSync(`${path}.secret`));
    expect(readdirSync(folder).filter((name) => name.includes('partial'))).toEqual([]);

    expect(await runHere(['backup', backup], env)).toMatchObject({
      code: 1,
      output: expect.stringContaining('exists already. Choose another name, or add --force'),
    });
    expect(await runHere(['backup', '--force', backup], { ...env, SECRET_KEY })).toMatchObject({ code: 0 });
    expect(await runHere(['restore', backup], env)).toMatchObject({
      code: 1,
      output: expect.stringContaining('A server or another program uses'),
    });
    expect(acknowledged).toEqual(expect.arrayContaining(before));
  });

  it('should be backed up by one of its processes when it is time, and keep no more than the newest backups', async () => {
    const lines = () => server.output().match(/"file":"[^"]+","ms":\d+,"removed":\[[^\]]*\]/g) ?? [];
    await expect.poll(lines, { timeout: 25_000 }).toHaveLength(1);
    const names = readdirSync(scheduled).sort();
    const made = names.filter((name) => /^tidings-202[1-9]\d{4}T\d{6}Z\.db(\.secret)?$/.test(name));
    expect(made).toEqual([made[0], `${made[0]}.secret`]);
    const others = ['mine.db', 'other-20200101T000000Z.db', 'tidings-20200101T000000Z.db.gz', 'tidings-mine.db'];
    expect(names).toEqual([...others, 'tidings-20200102T000000Z.db', ...made].sort());
    expect(lines()[0]).toContain('"removed":["tidings-20200101T000000Z.db"]');
    expect(sqlOn(join(scheduled, made[0] ?? ''), 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
  });
});

describe('a backup', () => {
  const { folder, path, remove } = privateDatabase();
  const env = { DATABASE_URL: `file:${path}` };
  const backup = join(folder, 'backup.db');
  const bad = join(folder, 'bad.db');
  beforeAll(async () => {
    sqlOn(path, `INSERT INTO "Todo" ("title") VALUES ('in the backup')`);
    expect(await runHere(['backup', backup], env)).toMatchObject({ code: 0 });
    sqlOn(path, `INSERT INTO "Todo" ("title") VALUES ('after it')`);
  });
  afterAll(remove);

  it.each([
    [['backup'], {}, 'Usage: npm run backup -- <file> [--force]'],
    [['restore', 'a', 'b'], {}, 'Usage: npm run restore -- <file> [--force]'],
    [['backup', path, '--force'], {}, 'belongs to the database itself'],
    [['backup', `${path}-wal`, '--force'], {}, 'belongs to the database itself'],
    [['backup', join(folder, 'nowhere/backup.db')], {}, 'Check that its folder exists'],
    [['backup', join(folder, 'new.db')], { DATABASE_URL: `file:${folder}/missing.db` }, 'There is no file'],
    [['restore', join(folder, 'missing.db')], {}, 'There is no file'],
    [['restore', path], {}, 'is the database itself'],
    [
      ['backup', 'backup.db'],
      { DATABASE_URL: 'postgres://127.0.0.1/tidings', SECRET_KEY },
      'Use pg_dump, as docs/operating.md describes',
    ],
    [
      ['backup', 'backup.db'],
      { DATABASE_URL: 'postgres://127.0.0.1/tidings', SECRET_KEY, BACKUP_DIR: 'x' },
      'BACKUP_DIR is for SQLite only',
    ],
  ])('should not be made or restored by %j with %j: %s', async (args, other, sentence) => {
    const failed = await runHere(args, { ...env, ...other }).catch(({ message }: Error) => ({
      code: 1,
      output: message,
    }));
    expect(failed).toMatchObject({ code: 1, output: expect.stringContaining(sentence) });
    expect(existsSync(join(folder, 'missing.db'))).toBe(false);
  });

  it('should leave nothing behind when the disk is full, or when it is interrupted', async () => {
    const target = join(folder, 'too-large.db');
    // As on a full disk, SQLite cannot write beyond this size, in blocks of 512 bytes.
    const script = `trap '' XFSZ; ulimit -f 100; exec "$0" "$@"`;
    const failed = await promisify(execFile)('sh', ['-c', script, process.execPath, MAIN, 'backup', target], {
      env,
    }).catch(({ code, stderr }: { code: number; stderr: string }) => ({ code, stderr }));
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringMatching(/too-large\.db.* (disk|space)/) });
    await expect(
      createBackup({
        database: path,
        file: target,
        hasSecretFile: true,
        replaces: false,
        onProgress: () => undefined,
        stopping: AbortSignal.abort(),
      }),
    ).rejects.toThrow('The copy was interrupted. Nothing was changed.');
    expect(readdirSync(folder).filter((name) => name.includes('too-large'))).toEqual([]);
  });

  it.each([
    [
      'is not a database',
      () => writeFileSync(bad, 'It is not a database, whatever its name says.'),
      'is not a SQLite database',
    ],
    [
      'belongs to another program',
      () => sqlOn(bad, 'CREATE TABLE "other" ("id" INTEGER)'),
      'is not a database of Tidings',
    ],
    [
      'is of a later version',
      () => {
        copyFileSync(backup, bad);
        sqlOn(
          bad,
          `INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name") VALUES ('1', '1', '20990101_later')`,
        );
      },
      'Run the version that applied it',
    ],
    [
      'is damaged',
      () => {
        const bytes = readFileSync(backup);
        // The first page has the list of the tables, which is still readable.
        for (let at = 30 * GARBAGE.length; at + GARBAGE.length <= bytes.length; at += GARBAGE.length) {
          GARBAGE.copy(bytes, at);
        }
        writeFileSync(bad, bytes);
      },
      'is damaged',
    ],
  ])('should not be restored when it %s', async (_, make, sentence) => {
    rmSync(bad, { force: true });
    make();
    const before = readFileSync(path);
    const names = readdirSync(folder).sort();
    expect(await runHere(['restore', bad], env)).toMatchObject({ code: 1, output: expect.stringContaining(sentence) });
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(names);
  });

  it('should replace the database and its signing key, which are kept under another name', async () => {
    writeFileSync(`${path}.secret`, `${'2b9e41d07c'.repeat(5)}\n`, { mode: OWNER_ONLY });
    writeFileSync(`${backup}.secret`, `${'77f3a1c09e'.repeat(5)}\n`);
    expect(await runHere(['restore', backup], env)).toMatchObject({ code: 0 });
    expect(titlesIn(path)).toEqual(['in the backup']);
    expect(readFileSync(`${path}.secret`, 'utf8')).toContain('77f3a1c09e');
    const [kept = ''] = readdirSync(folder).filter((name) => /^tidings\.db\.before-restore-\d{8}T\d{6}Z$/.test(name));
    expect(titlesIn(join(folder, kept))).toEqual(['in the backup', 'after it']);
    expect(readFileSync(join(folder, `${kept}.secret`), 'utf8')).toContain('2b9e41d07c');
    expect(modeOf(`${path}.secret`)).toBe(OWNER_ONLY);
  });

  it('should replace a damaged database only when it is forced, with no write-ahead log of that one', async () => {
    const damaged = privateDatabase();
    onTestFinished(damaged.remove);
    const other = { DATABASE_URL: `file:${damaged.path}` };
    writeFileSync(damaged.path, GARBAGE);
    writeFileSync(`${damaged.path}-wal`, GARBAGE);
    expect(await runHere(['restore', backup], other)).toMatchObject({
      code: 1,
      output: expect.stringContaining('Stop all servers, and add --force'),
    });
    expect(await runHere(['restore', backup, '--force'], other)).toMatchObject({ code: 0 });
    expect(titlesIn(damaged.path)).toEqual(['in the backup']);
    expect(existsSync(`${damaged.path}-wal`)).toBe(false);
  });
});

describe('the epoch of a database', () => {
  const { folder, path, remove } = privateDatabase();
  afterAll(remove);
  /** Serves the database for a moment; returns the epoch in its cursors. */
  const epochOf = async (database = path): Promise<string> => {
    const app = await startApp({ DATABASE_URL: `file:${database}` });
    const { cursor } = await app.anonymous.gql('{ cursor }');
    await app.close();
    return cursor.split(':')[0];
  };

  it('should stay at a restart, and be new in each copy that is served instead', async () => {
    const epoch = await epochOf();
    expect(await epochOf()).toBe(epoch);
    const [backup, vacuumed] = [join(folder, 'backup.db'), join(folder, 'vacuumed.db')];
    await runHere(['backup', backup], { DATABASE_URL: `file:${path}` });
    sqlOn(path, `VACUUM INTO '${vacuumed}'`);
    const seen = new Set([epoch]);
    for (const copy of [backup, vacuumed, backup]) {
      copyFileSync(copy, path);
      const next = await epochOf();
      expect(seen).not.toContain(next);
      expect(await epochOf()).toBe(next);
      seen.add(next);
    }
  });
});
