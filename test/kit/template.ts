import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { migrateSqlite } from '../../src/database/migrate-sqlite.ts';
import { createTemplate, ON_POSTGRES } from './postgres.ts';
import { lookAround } from './present.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A migrated, empty SQLite file that tests copy. */
    templateDatabase: string;
    /** The name of a migrated, empty PostgreSQL database that tests copy; empty when the suite runs over SQLite. */
    templateName: string;
  }
}

/** Migrates one database for the whole run. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-template-'));
  const path = join(folder, 'template.db');
  migrateSqlite(path);
  const template = ON_POSTGRES ? await createTemplate() : null;
  project.provide('templateDatabase', path);
  project.provide('templateName', template?.name ?? '');
  project.provide('present', await lookAround());
  return async () => {
    rmSync(folder, { recursive: true, force: true });
    await template?.remove();
  };
}
