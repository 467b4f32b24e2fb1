// What node:http and the driver can do when nobody asks who calls, parses a query or checks anything.
import { createServer } from 'node:http';
import Sqlite from 'better-sqlite3';
import pg from 'pg';
import { announce } from './announce.js';

const STATEMENTS = {
  '/todo': 'SELECT "id", "title", "completed" FROM "Todo" WHERE "id" = $1',
  '/page': `SELECT p."id", p."title", u."id" AS "authorId", u."username"
    FROM "Post" AS p JOIN "User" AS u ON u."id" = p."authorId" ORDER BY p."id" LIMIT 20`,
  '/update': 'UPDATE "Todo" SET "completed" = $1 WHERE "id" = $2 RETURNING "id", "completed"',
  '/posts':
    'SELECT "id", "title", "content", "createdAt" AS "created_at", "updatedAt" AS "updated_at" FROM "Post" ORDER BY "id" LIMIT 1000',
  '/notes':
    'SELECT "id", "title", "description", "createdAt" AS "created_at", "createdBy" AS "created_by", "priority" FROM "Note" ORDER BY "id" LIMIT 1000',
};

const runOf = { 'file:': onSqlite, 'postgres:': onPostgres, 'postgresql:': onPostgres }[
  new URL(process.env.PEER_DATABASE_URL).protocol
](process.env.PEER_DATABASE_URL);

/** Gives, for a statement, what runs it. */
function onSqlite(url) {
  const database = new Sqlite(url.slice('file:'.length));
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = NORMAL');
  return (text) => {
    const statement = database.prepare(text.replace(/\$\d/g, '?'));
    return (values) => statement.all(...values.map((value) => (typeof value === 'boolean' ? Number(value) : value)));
  };
}

function onPostgres(connectionString) {
  const pool = new pg.Pool({ connectionString });
  return (text, name) => async (values) => (await pool.query({ name, text, values })).rows;
}

const run = Object.fromEntries(Object.entries(STATEMENTS).map(([path, text]) => [path, runOf(text, path)]));

const answers = {
  '/todo': async ({ id }) => (await run['/todo']([id]))[0],
  '/page': async () =>
    (await run['/page']([])).map(({ authorId, username, ...post }) => ({
      ...post,
      author: { id: authorId, username },
    })),
  '/update': async ({ id, completed }) => (await run['/update']([completed, id]))[0],
  '/posts': () => run['/posts']([]),
  '/notes': () => run['/notes']([]),
};

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    const body = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : {};
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ data: await answers[request.url](body) }));
  });
});
server.listen(0, '127.0.0.1', () => announce(server.address()));
