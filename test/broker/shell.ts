import { randomBytes } from 'node:crypto';
import Sqlite from 'better-sqlite3';
import pg from 'pg';
import { inject } from 'vitest';
import { privateDatabase } from '../kit/app.ts';
import { createDatabase, ON_POSTGRES } from '../kit/postgres.ts';

export interface OwnDatabase {
  /** What several servers that share it are started with. */
  readonly env: { readonly DATABASE_URL: string; readonly SECRET_KEY: string };
  readonly remove: () => Promise<void>;
}

/** A migrated, empty database for servers that come and go. */
export async function ownDatabase(): Promise<OwnDatabase> {
  const SECRET_KEY = randomBytes(32).toString('hex');
  if (ON_POSTGRES) {
    const { url, remove } = await createDatabase(inject('templateName'));
    return { env: { DATABASE_URL: url, SECRET_KEY }, remove };
  }
  const { path, remove } = privateDatabase();
  return { env: { DATABASE_URL: `file:${path}`, SECRET_KEY }, remove: async () => remove() };
}

/** Somebody with a database shell: a connection that no server knows of. */
export interface Shell {
  /** Runs statements, all of them in one transaction. */
  readonly execute: (...statements: readonly string[]) => Promise<void>;
  readonly rows: (statement: string) => Promise<Record<string, unknown>[]>;
  /** Whether the database takes writes at present: a SQLite file takes none while somebody else is in the middle of one. */
  readonly isWritable: () => Promise<boolean>;
  readonly close: () => Promise<void>;
}

export function openShell(url: string): Promise<Shell> {
  return ON_POSTGRES ? postgresShell(url) : sqliteShell(url.slice('file:'.length));
}

async function sqliteShell(path: string): Promise<Shell> {
  const database = new Sqlite(path, { timeout: 5_000 });
  const impatient = new Sqlite(path, { timeout: 100 });
  database.pragma('foreign_keys = ON');
  return {
    execute: async (...statements) => {
      database.transaction(() => database.exec(statements.join(';\n'))).immediate();
    },
    rows: async (statement) => database.prepare<[], Record<string, unknown>>(statement).all(),
    isWritable: async () => {
      try {
        impatient.exec('BEGIN IMMEDIATE; ROLLBACK');
        return true;
      } catch (error) {
        if (error instanceof Sqlite.SqliteError && error.code === 'SQLITE_BUSY') {
          return false;
        }
        throw error;
      }
    },
    close: async () => {
      impatient.close();
      database.close();
    },
  };
}

async function postgresShell(url: string): Promise<Shell> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return {
    execute: async (...statements) => {
      // Several statements in one simple query are one transaction.
      await client.query(statements.join(';\n'));
    },
    rows: async (statement) => (await client.query(statement)).rows,
    isWritable: async () => true,
    close: () => client.end(),
  };
}
