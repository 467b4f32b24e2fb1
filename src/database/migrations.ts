import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StartError } from '../errors.ts';

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

/** A statement that follows the migrations, like the creation of a trigger that is missing. */
export interface SchemaStatement {
  /** What it changes, for operators. */
  readonly name: string;
  readonly sql: string;
}

/** What a migration would do, or has done. */
export interface MigrationStatus {
  /** Whether the database had no migration before. */
  readonly isNew: boolean;
  /** The names of the migrations, in their order. */
  readonly migrations: readonly string[];
  /** What the statements after the migrations change: functions and triggers of the change log and of the search index, by name. */
  readonly statements: readonly string[];
}

/** Called with what a migration does or waits for, for the log. */
export type MigrationReport = (level: 'info' | 'warn', message: string, details: Record<string, unknown>) => void;

type MigrationFolder = 'migrations' | 'postgres/migrations';

/** An earlier release works with a database that has a migration of such a name: it only adds what earlier releases do not use. */
const ADDITIVE = /^\d{14}_expand_/;

/** Returns the migrations in a folder below `prisma/`, in the order of their names. */
export function readMigrations(folder: MigrationFolder): Migration[] {
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

/** Returns whether a newer release has migrated the database. */
export function hasNewerMigrations(known: readonly Migration[], applied: readonly AppliedMigration[]): boolean {
  const names = new Set(known.map(({ name }) => name));
  return applied.some(({ name }) => !names.has(name));
}

/**
 * Returns the migrations that are not applied.
 *
 * @throws {StartError} when the database has migrations that this version does not know and that are not additive, or migrations whose files were changed
 */
export function pendingMigrations(known: readonly Migration[], applied: readonly AppliedMigration[]): Migration[] {
  const byName = new Map(known.map((migration) => [migration.name, migration]));
  const unknown = applied.filter(({ name }) => !byName.has(name) && !ADDITIVE.test(name)).map(({ name }) => name);
  if (unknown.length > 0) {
    const [noun, pronoun] = unknown.length === 1 ? ['migration', 'it'] : ['migrations', 'them'];
    throw new StartError(
      `The database has the ${noun} ${unknown.join(', ')}, which this version of Tidings does not know. Run the version that applied ${pronoun}, or a later one; to go back to this version, restore the backup that was made before that upgrade.`,
    );
  }
  for (const { name, checksum } of applied) {
    const migration = byName.get(name);
    if (migration && migration.checksum !== checksum) {
      throw new StartError(
        `The file of the migration ${name} was changed after it had been applied. Restore the file.`,
      );
    }
  }
  const done = new Set(applied.map(({ name }) => name));
  return known.filter(({ name }) => !done.has(name));
}

/** Reports a migration that was committed, if there was anything to do; `start` is the value of `performance.now()` before it. */
export function reportDone(
  { isNew, migrations, statements }: MigrationStatus,
  start: number,
  report: MigrationReport,
): void {
  const ms = Math.round(performance.now() - start);
  if (isNew) {
    report('info', 'the database was created', { migrations: migrations.length, ms });
  } else if (migrations.length > 0 || statements.length > 0) {
    report('info', 'the database was migrated', { migrations, statements, ms });
  }
}
