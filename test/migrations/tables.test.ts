import { copyFileSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migratePostgres } from '../../src/database/migrate-postgres.ts';
import { getDatamodel } from '../../src/generated/pothos.ts';
import { privateDatabase } from '../kit/app.ts';
import { createDatabase, type PostgresDatabase, runSql } from '../kit/postgres.ts';
import { describeWith } from '../kit/present.ts';
import { differences, modelTables, postgresTables, sqliteTables, type Tables } from './tables.ts';

const models = modelTables();
const bigIntegers = new Set(
  Object.entries(models).flatMap(([table, lines]) =>
    lines.filter((line) => /^\w+ BigInt/.test(line)).map((line) => `${table}.${line.split(' ')[0]}`),
  ),
);

/**
 * The tables without those of the search index: the virtual table of FTS5 with the tables that SQLite keeps it in, and the column of a type that Prisma does not
 * have. No model reads or writes them.
 */
function withoutSearchIndex(tables: Tables): Tables {
  return Object.fromEntries(Object.entries(tables).filter(([table]) => !/^SearchEntry(_|$)/.test(table)));
}

/** The models where `lines` of theirs are others: what a schema of Prisma cannot say. */
function modelsWith(lines: Readonly<Record<string, string>>): typeof models {
  const tables = Object.entries(models).map(([table, own]) => [
    table,
    own.map((line) => lines[`${table}: ${line}`] ?? line),
  ]);
  return Object.fromEntries(tables);
}

it('should read the models in full', () => {
  expect(Object.keys(models).sort()).toEqual(Object.keys(getDatamodel().datamodel.models).sort());
  expect(models['RefreshToken']).toEqual([
    'hash String primary key',
    'sessionid references session (id), on delete cascade, on update cascade',
    'sessionId Int',
    'expiresAt DateTime',
    'usedAt DateTime?',
    'index (sessionId)',
  ]);
});

describe('the migrated tables of SQLite', () => {
  const database = privateDatabase();
  afterAll(database.remove);
  const ownLines = modelsWith({
    'Change: index (otherScope, model, seq)': 'index (otherScope, model, seq) where otherScope IS NOT NULL',
    // A column that is added to a table takes no expression; the server always gives this one.
    'Session: lastUsedAt DateTime = now': 'lastUsedAt DateTime = "1970-01-01T00:00:00.000+00:00"',
  });
  // The primary key, where it is a number, is the end of each index by itself.
  const withoutKey = (line: string) => line.replace(/^index \((.*), (id|seq)\)/, 'index ($1)');
  const wanted = Object.fromEntries(Object.entries(ownLines).map(([table, lines]) => [table, lines.map(withoutKey)]));

  it('should have the columns, defaults, indexes and references of the models, and no others', () => {
    expect(differences(wanted, withoutSearchIndex(sqliteTables(database.path, bigIntegers)))).toEqual([]);
  });

  it('should be found to differ by each thing that is compared', () => {
    const path = `${database.folder}/other.db`;
    copyFileSync(database.path, path);
    const file = new Sqlite(path);
    file.unsafeMode(true);
    file.exec(`
      CREATE TABLE "Draft" ("id" INTEGER NOT NULL PRIMARY KEY);
      ALTER TABLE "Note" ADD COLUMN "colour" TEXT;
      DROP INDEX "Todo_listId_id_idx";
      CREATE INDEX "Todo_listId_id_idx" ON "Todo"("listId" DESC);
      DROP INDEX "Session_sid_key";
      CREATE INDEX "Session_sid_key" ON "Session"("sid");
    `);
    file.pragma('writable_schema = ON');
    const rewrite = file.prepare('UPDATE "sqlite_master" SET "sql" = replace("sql", ?, ?) WHERE "name" = ?');
    rewrite.run('ON DELETE RESTRICT', 'ON DELETE CASCADE', 'ChatSession');
    rewrite.run('"email" TEXT NOT NULL DEFAULT \'\'', '"email" TEXT DEFAULT \'none\'', 'User');
    rewrite.run('AUTOINCREMENT', '', 'Post');
    rewrite.run('"count" INTEGER NOT NULL', '"count" TEXT', 'RateLimit');
    file.close();
    expect(differences(wanted, withoutSearchIndex(sqliteTables(path, bigIntegers)))).toEqual([
      'missing ChatSession: ownerid references user (id), on delete restrict, on update cascade',
      'missing Post: id Int primary key = autoincrement',
      'missing RateLimit: count Int',
      'missing Session: unique (sid)',
      'missing Todo: index (listId)',
      'missing User: email String = ""',
      'unknown ChatSession: ownerid references user (id), on delete cascade, on update cascade',
      'unknown Draft: id Int primary key',
      'unknown Note: colour String?',
      'unknown Post: id Int primary key',
      'unknown RateLimit: count String?',
      'unknown Session: index (sid)',
      'unknown Todo: index (listId DESC)',
      'unknown User: email String? = "none"',
    ]);
  });
});

describeWith('postgres', 'the migrated tables of PostgreSQL', () => {
  let database: PostgresDatabase;
  beforeAll(async () => {
    database = await createDatabase();
    await migratePostgres(database.url);
  });
  afterAll(() => database.remove());
  const wanted = modelsWith({
    'Change: index (otherScope, model, seq)': 'index (otherScope, model, seq) where (otherScope IS NOT NULL)',
    // The migration says why.
    'Change: index (model, seq)': `index (((model || ''::text)), seq)`,
  });

  it('should have the columns, defaults, indexes and references of the models, and no others', async () => {
    expect(differences(wanted, withoutSearchIndex(await postgresTables(database.url)))).toEqual([]);
  });

  it('should be found to differ by each thing that is compared', async () => {
    const other = await createDatabase(new URL(database.url).pathname.slice(1));
    await runSql(
      other.url,
      `
      CREATE TABLE "Draft" ("id" INTEGER NOT NULL PRIMARY KEY);
      ALTER TABLE "Note" ADD COLUMN "colour" TEXT COLLATE "C";
      DROP INDEX "Todo_listId_id_idx";
      CREATE INDEX "Todo_listId_id_idx" ON "Todo"("listId", "id" DESC);
      DROP INDEX "Session_sid_key";
      CREATE INDEX "Session_sid_key" ON "Session"("sid");
      ALTER TABLE "ChatSession" DROP CONSTRAINT "ChatSession_ownerId_fkey";
      ALTER TABLE "ChatSession" ADD CONSTRAINT "ChatSession_ownerId_fkey" FOREIGN KEY ("ownerId") REFERENCES "User"("id") ON DELETE CASCADE;
      ALTER TABLE "User" ALTER COLUMN "email" DROP NOT NULL, ALTER COLUMN "email" SET DEFAULT 'none';
      ALTER TABLE "Post" ALTER COLUMN "id" DROP DEFAULT;
      ALTER TABLE "RateLimit" ALTER COLUMN "count" TYPE BIGINT;
      ALTER TABLE "Lease" ALTER COLUMN "holder" TYPE TEXT COLLATE "POSIX";
      `,
    );
    const found = withoutSearchIndex(await postgresTables(other.url));
    await other.remove();
    expect(differences(wanted, found)).toEqual([
      'missing ChatSession: ownerid references user (id), on delete restrict, on update cascade',
      'missing Lease: holder String',
      'missing Post: id Int primary key = autoincrement',
      'missing RateLimit: count Int',
      'missing Session: unique (sid)',
      'missing Todo: index (listId, id)',
      'missing User: email String = ""',
      'unknown ChatSession: ownerid references user (id), on delete cascade, on update no action',
      'unknown Draft: id Int primary key',
      'unknown Lease: holder text POSIX',
      'unknown Note: colour String?',
      'unknown Post: id Int primary key',
      'unknown RateLimit: count BigInt',
      'unknown Session: index (sid)',
      'unknown Todo: index (listId, id DESC)',
      'unknown User: email String? = "none"',
    ]);
  });
});
