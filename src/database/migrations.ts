import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A migration as a file holds it. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
  /** SHA-256 of the file, as Prisma records it. */
  readonly checksum: string;
}

/** A migration as Prisma's own table `_prisma_migrations` records it, so that `prisma migrate status` and `deploy` agree with us. */
export interface AppliedMigration {
  readonly name: string;
  readonly checksum: string;
}

/** The migrations in a folder below `prisma/`, in the order of their names. */
export function readMigrations(folder: 'migrations' | 'postgres/migrations'): Migration[] {
  const path = fileURLToPath(new URL(`../../prisma/${folder}`, import.meta.url));
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
    .map((name) => {
      const sql = readFileSync(join(path, name, 'migration.sql'), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    });
}

/** What is still to be applied; fails when the database holds what this program does not know. */
export function pendingMigrations(known: readonly Migration[], applied: readonly AppliedMigration[]): Migration[] {
  const byName = new Map(known.map((migration) => [migration.name, migration]));
  for (const { name, checksum } of applied) {
    const migration = byName.get(name);
    if (!migration) {
      throw new Error(`The database holds the migration ${name}, which this version of Tidings does not know.`);
    }
    if (migration.checksum !== checksum) {
      throw new Error(`The migration ${name} was changed after it had been applied.`);
    }
  }
  const done = new Set(applied.map(({ name }) => name));
  return known.filter(({ name }) => !done.has(name));
}
