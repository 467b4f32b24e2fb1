import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import Sqlite from 'better-sqlite3';
import { afterAll, describe, expect, it } from 'vitest';
import { migrateSqlite } from '../../src/database/migrate-sqlite.ts';
import { privateDatabase } from '../kit/app.ts';
import { runCommand } from '../kit/process.ts';

const MIGRATIONS = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));

const database = privateDatabase();
afterAll(database.remove);

function open(path: string): Sqlite.Database {
  return new Sqlite(path);
}

describe('the record of migrations', () => {
  const recordOf = (path: string): { name: string; checksum: string }[] => {
    const file = open(path);
    const rows = file
      .prepare<[], { name: string; checksum: string }>(
        'SELECT "migration_name" AS "name", "checksum" FROM "_prisma_migrations" ORDER BY "migration_name"',
      )
      .all();
    file.close();
    return rows;
  };
  const copyTo = (name: string): string => {
    const path = `${database.folder}/${name}.db`;
    copyFileSync(database.path, path);
    return path;
  };
  const change = (path: string, sql: string): void => {
    const file = open(path);
    file.exec(sql);
    file.close();
  };

  it('should have what Prisma would write: names and SHA-256 of the files', () => {
    const files = readdirSync(MIGRATIONS, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => ({
        name,
        checksum: createHash('sha256')
          .update(readFileSync(`${MIGRATIONS}/${name}/migration.sql`))
          .digest('hex'),
      }));
    expect(recordOf(database.path)).toEqual(files.sort((left, right) => left.name.localeCompare(right.name)));
  });

  it('should stay as it is when nothing is pending', () => {
    const path = copyTo('again');
    const before = recordOf(path);
    migrateSqlite(path);
    expect(recordOf(path)).toEqual(before);
  });

  it.each([
    [
      'unknown',
      `INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name") VALUES ('1', 'x', '29990101_future')`,
      '29990101_future, which this version of Tidings does not know',
    ],
    ['changed', `UPDATE "_prisma_migrations" SET "checksum" = 'x'`, 'was changed after it had been applied'],
  ])('should stop a server whose database has an %s migration', async (name, sql, sentence) => {
    const path = copyTo(name);
    change(path, sql);
    const before = recordOf(path);
    const { code, output } = await runCommand(['serve'], { DATABASE_URL: `file:${path}`, PORT: '0' });
    expect(code).toBe(1);
    expect(output).toContain(sentence);
    expect(recordOf(path)).toEqual(before);
  });
});

describe('the command migrate', () => {
  const run = (path: string, ...args: readonly string[]) =>
    runCommand(['migrate', ...args], { DATABASE_URL: `file:${path}` });

  it('should say what is pending without changing anything, then do it, and do nothing again', async () => {
    const path = `${database.folder}/absent/new.db`;
    const pending = await run(path, '--check');
    expect(pending.code).toBe(3);
    expect(pending.output).toMatch(/^pending migration: \d+_initial$/m);
    expect(pending.output).toMatch(/^pending change: trigger tidings_log_Todo_insert$/m);
    expect(existsSync(`${database.folder}/absent`)).toBe(false);
    expect((await run(path)).code).toBe(0);
    expect(await run(path, '--check')).toEqual({ code: 0, output: 'The database is up to date.\n' });
    expect(readdirSync(`${database.folder}/absent`)).toEqual(['new.db']);
  });

  it('should refuse a database of a later release, unless that only added to it, and unknown arguments', async () => {
    const [refused, accepted] = ['29990101000000_contract_it', '29990101000000_expand_it'].map((name) => {
      const path = `${database.folder}/${name}.db`;
      migrateSqlite(path);
      const file = open(path);
      file.exec(`INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name") VALUES ('1', 'x', '${name}')`);
      file.close();
      return path;
    });
    const results = await Promise.all([
      run(refused ?? '', '--check'),
      run(accepted ?? '', '--check'),
      run(accepted ?? '', '--chekc'),
    ]);
    expect(results.map(({ code }) => code)).toEqual([1, 0, 1]);
    expect(results[0]?.output).toContain('29990101000000_contract_it, which this version of Tidings does not know');
    expect(results[2]?.output).toContain('Usage: npm run migrate');
  });
});
