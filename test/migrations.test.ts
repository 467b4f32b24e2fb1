import { createHash } from 'node:crypto';
import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import Sqlite from 'better-sqlite3';
import { afterAll, describe, expect, it } from 'vitest';
import { migrateSqlite } from '../src/database/migrate-sqlite.ts';
import { getDatamodel } from '../src/generated/pothos.ts';
import { privateDatabase } from './kit/app.ts';
import { runCommand } from './kit/process.ts';

const MIGRATIONS = fileURLToPath(new URL('../prisma/migrations', import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  Int: 'INTEGER',
  BigInt: 'INTEGER',
  String: 'TEXT',
  Boolean: 'BOOLEAN',
  DateTime: 'DATETIME',
  Bytes: 'BLOB',
};

interface Field {
  readonly name: string;
  readonly kind: string;
  readonly type: string;
  readonly isRequired: boolean;
  readonly isId: boolean;
  readonly isUnique: boolean;
}
interface Model {
  readonly fields: readonly Field[];
}

const database = privateDatabase();
afterAll(database.remove);

function open(path: string): Sqlite.Database {
  return new Sqlite(path);
}

/** What the schema says of a model; the data model at run time does not tell all of it. */
function modelText(name: string): string {
  const text = readFileSync(new URL('../prisma/schema.prisma', import.meta.url), 'utf8');
  return new RegExp(`^model ${name} \\{.*?^\\}`, 'ms').exec(text)?.[0] ?? '';
}

function combinationsOf(name: string): string[][] {
  return [...modelText(name).matchAll(/@@unique\(\[([^\]]+)\]\)/g)].map(([, columns = '']) => columns.split(/,\s*/));
}

function referencesOf(name: string): string[][] {
  const relations = modelText(name).matchAll(
    /(\w+)\??\s+@relation\(fields: \[(\w+)\], references: \[id\], onDelete: (\w+)\)/g,
  );
  return [...relations].map(([, model = '', column = '', onDelete = '']) => [column, model, onDelete]);
}

const { models } = getDatamodel().datamodel as unknown as { models: Record<string, Model> };

describe('the migrated tables', () => {
  const file = open(database.path);
  afterAll(() => file.close());

  it('should be those of the models', () => {
    const tables = file
      .prepare<[], { name: string }>(
        `SELECT "name" FROM "sqlite_master" WHERE "type" = 'table' AND "name" NOT LIKE 'sqlite_%' AND "name" NOT LIKE '\\_%' ESCAPE '\\'`,
      )
      .all()
      .map(({ name }) => name);
    expect(tables.sort()).toEqual(Object.keys(models).sort());
  });

  it.each(Object.entries(models))('should have the columns, keys and references of %s', (name, { fields }) => {
    const scalars = fields.filter(({ kind }) => kind === 'scalar');
    const columns = file.pragma(`table_info("${name}")`) as {
      name: string;
      type: string;
      notnull: number;
      pk: number;
    }[];
    const found = columns.map(({ name, type, notnull, pk }) => ({
      name,
      type,
      required: notnull === 1,
      id: pk === 1,
    }));
    const wanted = scalars.map(({ name, type, isRequired, isId }) => ({
      name,
      type: TYPES[type],
      required: isRequired,
      id: isId,
    }));
    const byName = (left: { name: string }, right: { name: string }) => left.name.localeCompare(right.name);
    expect(found.sort(byName)).toEqual(wanted.sort(byName));

    const indexes = file.pragma(`index_list("${name}")`) as { name: string; unique: number; origin: string }[];
    const unique = indexes
      .filter(({ unique, origin }) => unique === 1 && origin !== 'pk')
      .map(({ name }) => (file.pragma(`index_info("${name}")`) as { name: string }[]).map(({ name }) => name));
    const wantedUnique = [
      ...scalars.filter(({ isUnique }) => isUnique).map(({ name }) => [name]),
      ...combinationsOf(name),
    ];
    expect(unique.map(String).sort()).toEqual(wantedUnique.map(String).sort());

    const references = file.pragma(`foreign_key_list("${name}")`) as {
      from: string;
      table: string;
      on_delete: string;
    }[];
    const onDelete: Readonly<Record<string, string>> = {
      CASCADE: 'Cascade',
      'SET NULL': 'SetNull',
      RESTRICT: 'Restrict',
    };
    expect(references.map(({ from, table, on_delete }) => [from, table, onDelete[on_delete]]).sort()).toEqual(
      referencesOf(name).sort(),
    );
  });
});

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

  it('should hold what Prisma would write: names and SHA-256 of the files', () => {
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
