import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { migratePostgres } from '../../src/database/migrate-postgres.ts';

/** Where the tests find PostgreSQL, as a user who may make databases. */
export const POSTGRES_SERVER =
  process.env['TIDINGS_TEST_POSTGRES_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres';

/** Whether the suite runs over PostgreSQL instead of SQLite. */
export const ON_POSTGRES = process.env['TIDINGS_TEST_DATABASE'] === 'postgres';

export interface PostgresDatabase {
  readonly url: string;
  readonly remove: () => Promise<void>;
}

/** Runs one statement on a database, over a connection of its own. */
export async function runSql(
  url: string,
  statement: string,
  values: readonly unknown[] = [],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  // The waiting query reports a broken connection.
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query(statement, [...values]);
    return rows;
  } finally {
    await client.end();
  }
}

/** Whether PostgreSQL answers there. */
export async function answers(url: string): Promise<boolean> {
  return runSql(url, 'SELECT 1').then(
    () => true,
    () => false,
  );
}

/** Makes a database of its own: empty, or as its template is. */
export async function createDatabase(template = 'template1'): Promise<PostgresDatabase> {
  const name = `tidings_test_${randomBytes(6).toString('hex')}`;
  await runSql(POSTGRES_SERVER, `CREATE DATABASE "${name}" TEMPLATE "${template}"`);
  const url = new URL(POSTGRES_SERVER);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    remove: async () => {
      await runSql(POSTGRES_SERVER, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
    },
  };
}

/** Makes a migrated database that tests copy. */
export async function createTemplate(): Promise<{ name: string; remove: () => Promise<void> }> {
  const { url, remove } = await createDatabase();
  await migratePostgres(url);
  return { name: new URL(url).pathname.slice(1), remove };
}
