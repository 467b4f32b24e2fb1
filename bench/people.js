// People for benchmarks: accounts written straight into the database, since hashing a password for each would take most of the time, with tokens that
// are signed with the server's secret.
import { readFileSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import jwt from 'jsonwebtoken';
import pg from 'pg';

export const SECRET_KEY = 'only for benchmarks, which keep nothing at all';

/** Runs SQL on the database of a URL: `?` stands for a value. Returns the rows. */
export async function sqlOn(url, statement, values = []) {
  if (url.startsWith('file:')) {
    const file = new Sqlite(url.slice('file:'.length), { timeout: 10_000 });
    try {
      const prepared = file.prepare(statement);
      if (prepared.reader) {
        return prepared.all(...values);
      }
      prepared.run(...values);
      return [];
    } finally {
      file.close();
    }
  }
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    let count = 0;
    return (
      await client.query(
        statement.replace(/\?/g, () => `$${++count}`),
        values,
      )
    ).rows;
  } finally {
    await client.end();
  }
}

const series = (url, count) =>
  url.startsWith('file:')
    ? `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`
    : `WITH n(i) AS (SELECT generate_series(1, ${count}))`;

/** Makes that many users, with a name that is unique by its prefix; returns them with the `Authorization` of each. */
export async function makePeople(url, prefix, count) {
  const before = url.startsWith('file:') ? `'2020-01-01T00:00:00.000+00:00'` : `'2020-01-01T00:00:00Z'`;
  await sqlOn(
    url,
    `${series(url, count)} INSERT INTO "User" ("username", "usernameKey", "passwordHash", "credentialsChangedAt")
     SELECT '${prefix}' || i, '${prefix}' || i, '!', ${before} FROM n`,
  );
  const users = await sqlOn(
    url,
    `SELECT "id", "username" FROM "User" WHERE "username" LIKE '${prefix}%' ORDER BY "id"`,
  );
  const now = Math.floor(Date.now() / 1000);
  return users.map(({ id, username }) => ({
    id,
    username,
    authorization: `Bearer ${jwt.sign({ user_id: id, username, orig_iat: now, exp: now + 86_400 }, SECRET_KEY)}`,
  }));
}

/** Makes a chat of the first person in which all the others are members; returns its uri and id. */
export async function makeChat(url, uri, [owner, ...members]) {
  const now = url.startsWith('file:') ? `'2026-01-01T00:00:00.000+00:00'` : 'now()';
  await sqlOn(url, `INSERT INTO "ChatSession" ("uri", "ownerId", "updatedAt") VALUES (?, ?, ${now})`, [uri, owner.id]);
  const [{ id }] = await sqlOn(url, 'SELECT "id" FROM "ChatSession" WHERE "uri" = ?', [uri]);
  const rows = members.map((member) => `(${id}, ${member.id}, ${now})`);
  for (let at = 0; at < rows.length; at += 500) {
    await sqlOn(
      url,
      `INSERT INTO "ChatMember" ("chatSessionId", "userId", "updatedAt") VALUES ${rows.slice(at, at + 500).join(', ')}`,
    );
  }
  return { id, uri };
}

/** What the kernel says of a process: the high-water mark and the present size of its memory, in MiB. */
export function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const read = (name) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)[1]) / 1024;
  return { peak: read('VmHWM'), now: read('VmRSS') };
}
