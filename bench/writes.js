// What the change log costs whoever writes, and what it would cost if each transaction notified by itself:
//   npm run build && node bench/writes.js [seconds]
//   TIDINGS_BENCH_POSTGRES_URL=postgres://… makes and removes a database of its own there; without it, SQLite alone is measured.
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import pg from 'pg';
import { inFolder, report, withServer } from './server.js';

const [seconds = 5] = process.argv.slice(2).map(Number);
const WRITERS = 8;
const INSERT = `INSERT INTO "Todo" ("title") VALUES ('bench')`;

/** Writes with all clients at once until the time is over; gives the commits a second. */
async function commitsPerSecond(write, writers) {
  const begun = performance.now();
  let count = 0;
  const run = async (index) => {
    while (performance.now() - begun < seconds * 1000) {
      await write(index);
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, index) => run(index)));
  return Math.round((count * 1000) / (performance.now() - begun));
}

async function onSqlite(folder) {
  const path = join(folder, 'bench.db');
  await withServer({ DATABASE_URL: `file:${path}` }, async () => undefined);
  const measure = async (name, prepare) => {
    const file = new Sqlite(path);
    file.pragma('synchronous = NORMAL');
    prepare(file);
    const insert = file.prepare(INSERT);
    const rate = await commitsPerSecond(() => insert.run(), 1);
    file.close();
    return { database: 'SQLite', writers: 1, log: name, 'commits/s': rate };
  };
  return [
    await measure('by triggers', () => undefined),
    await measure('none', (file) => {
      const triggers = file.prepare(`SELECT "name" FROM sqlite_master WHERE "type" = 'trigger'`).all();
      for (const { name } of triggers) {
        file.exec(`DROP TRIGGER "${name}"`);
      }
    }),
  ];
}

async function onPostgres(server) {
  const name = `tidings_bench_${process.pid}`;
  const admin = new pg.Client({ connectionString: server });
  await admin.connect();
  await admin.query(`CREATE DATABASE "${name}"`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  const env = { DATABASE_URL: url.href, SECRET_KEY: 'only for this benchmark, which keeps nothing' };
  const measure = async (log, { application = 'bench', before = 'SELECT 1' }) => {
    const clients = await Promise.all(
      Array.from({ length: WRITERS }, async () => {
        const client = new pg.Client({ connectionString: url.href, application_name: application });
        await client.connect();
        return client;
      }),
    );
    await clients[0].query(before);
    const rate = await commitsPerSecond((index) => clients[index].query(INSERT), WRITERS);
    await Promise.all(clients.map((client) => client.end()));
    return { database: 'PostgreSQL', writers: WRITERS, log, 'commits/s': rate };
  };
  try {
    // The server listens meanwhile, as it would.
    return await withServer(env, async () => [
      await measure('by triggers', { application: 'tidings' }),
      await measure('by triggers, and each commit notifies', {}),
      await measure('none', { before: 'ALTER TABLE "Todo" DISABLE TRIGGER ALL' }),
    ]);
  } finally {
    await admin.query(`DROP DATABASE "${name}" WITH (FORCE)`);
    await admin.end();
  }
}

const server = process.env.TIDINGS_BENCH_POSTGRES_URL;
report([...(await inFolder(onSqlite)), ...(server ? await onPostgres(server) : [])]);
