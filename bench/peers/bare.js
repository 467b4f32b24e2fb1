// What node:http and the driver can do when nobody asks who calls, parses a query or checks anything.
import { createServer } from 'node:http';
import Sqlite from 'better-sqlite3';
import { announce } from './announce.js';

const database = new Sqlite(process.env.DATABASE_FILE);
database.pragma('journal_mode = WAL');
database.pragma('synchronous = NORMAL');
const todo = database.prepare('SELECT "id", "title", "completed" FROM "Todo" WHERE "id" = ?');
const page = database.prepare(
  `SELECT p."id", p."title", u."id" AS "authorId", u."username"
   FROM "Post" AS p JOIN "User" AS u ON u."id" = p."authorId" ORDER BY p."id" LIMIT 20`,
);
const update = database.prepare('UPDATE "Todo" SET "completed" = ? WHERE "id" = ? RETURNING "id", "completed"');
const posts = database.prepare(
  'SELECT "id", "title", "content", "createdAt" AS "created_at", "updatedAt" AS "updated_at" FROM "Post" ORDER BY "id" LIMIT 1000',
);
const notes = database.prepare(
  'SELECT "id", "title", "description", "createdAt" AS "created_at", "createdBy" AS "created_by", "priority" FROM "Note" ORDER BY "id" LIMIT 1000',
);

const answers = {
  '/todo': ({ id }) => todo.get(id),
  '/page': () => page.all().map(({ authorId, username, ...post }) => ({ ...post, author: { id: authorId, username } })),
  '/update': ({ id, completed }) => update.get(Number(completed), id),
  '/posts': () => posts.all(),
  '/notes': () => notes.all(),
};

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const body = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : {};
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ data: answers[request.url](body) }));
  });
});
server.listen(0, '127.0.0.1', () => announce(server.address()));
