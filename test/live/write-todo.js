// Writes a todo of the first user with plain SQL, as any program on the same machine may.
import Sqlite from 'better-sqlite3';

const [path, title] = process.argv.slice(2);
new Sqlite(path)
  .prepare('INSERT INTO "Todo" ("title", "ownerId", "updatedAt") VALUES (?, 1, ?)')
  .run(title, new Date().toISOString());
