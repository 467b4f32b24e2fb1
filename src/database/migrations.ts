import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A migration as its file contains it. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
  /** SHA-256 of the file, as Prisma records it. */
  readonly checksum: string;
}

/** A migration as Prisma's table `_prisma_migrations` records it, so that `prisma migrate status` and `deploy` work with it. */
export interface AppliedMigration {
  readonly name: string;
  readonly checksum: string;
}

/** Returns the migrations in a folder below `prisma/`, in the order of their names. */
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

/** Returns the migrations that are not applied; throws when the database has a migration that this version does not know or that was changed. */
export function pendingMigrations(known: readonly Migration[], applied: readonly AppliedMigration[]): Migration[] {
  const byName = new Map(known.map((migration) => [migration.name, migration]));
  for (const { name, checksum } of applied) {
    const migration = byName.get(name);
    if (!migration) {
      throw new Error(
        `The database has the migration ${name}, which this version of Tidings does not know. Run a newer version.`,
      );
    }
    if (migration.checksum !== checksum) {
      throw new Error(`The file of the migration ${name} was changed after it had been applied. Restore the file.`);
    }
  }
  const done = new Set(applied.map(({ name }) => name));
  return known.filter(({ name }) => !done.has(name));
}
