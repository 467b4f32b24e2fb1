// Databases for benchmarks: files of SQLite, or databases on PostgreSQL that are removed afterwards.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { SECRET_KEY, sqlOn } from './people.js';

/** Where PostgreSQL is asked for databases, by a user who may make them; unset, the benchmarks run on SQLite. */
const postgres = process.env.BENCH_POSTGRES_URL;
export const DATABASE_NAME = postgres ? 'PostgreSQL' : 'SQLite';
export const isSqlite = (url) => url.startsWith('file:');

/** The databases on PostgreSQL that are to be removed. */
const made = [];

/** An empty database: a file in the folder, or one on PostgreSQL. */
export async function newDatabase(folder, name) {
  if (!postgres) {
    return `file:${join(folder, `${name}.db`)}`;
  }
  const url = new URL(postgres);
  url.pathname = `/tidings_bench_${name.toLowerCase()}_${randomBytes(4).toString('hex')}`;
  await sqlOn(postgres, `CREATE DATABASE "${url.pathname.slice(1)}"`);
  made.push(url.href);
  return url.href;
}

/** Notes a database on PostgreSQL for {@link removeDatabases}. */
export function removeLater(url) {
  made.push(url);
}

/** Removes the databases that were made on PostgreSQL. */
export async function removeDatabases() {
  for (const url of made) {
    await sqlOn(postgres, `DROP DATABASE IF EXISTS "${new URL(url).pathname.slice(1)}" WITH (FORCE)`);
  }
}

/** The environment of a server over a database. */
export const environmentOf = (url) => ({ DATABASE_URL: url, SECRET_KEY });
