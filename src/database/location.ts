import { resolve } from 'node:path';

/** Returns the absolute path of the SQLite file of a database URL; null for PostgreSQL. */
export function sqlitePathOf(url: string): string | null {
  return url.startsWith('file:') ? resolve(url.slice('file:'.length)) : null;
}

/** Returns the location of a database, without the credentials of its URL. */
export function describeLocation(url: string): string {
  const path = sqlitePathOf(url);
  if (path !== null) {
    return path;
  }
  const { host, pathname } = URL.canParse(url) ? new URL(url) : { host: '', pathname: '' };
  return `${host}${pathname} on PostgreSQL`;
}
