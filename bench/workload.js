// What the benchmarks of requests share: databases with the same rows, the requests, and the load.
import { copyFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { environmentOf, isSqlite, removeLater } from './databases.js';
import { makeChat, makePeople, sqlOn } from './people.js';
import { cpuSeconds, startServer } from './server.js';

export { DATABASE_NAME, environmentOf, newDatabase, removeDatabases } from './databases.js';
export const CONNECTIONS = 32;
const PEOPLE = 16;
const SAMPLE = 64;
const LIST_LENGTH = 1000;
const here = fileURLToPath(new URL('.', import.meta.url));
const autocannon = createRequire(join(here, 'peers/package.json'))('autocannon');

/** A copy of a database that nobody uses, without the log's triggers: the peers write plain rows. */
export async function copyWithoutLog(url, name) {
  let copy;
  if (isSqlite(url)) {
    const file = join(dirname(url.slice('file:'.length)), `${name}.db`);
    copyFileSync(url.slice('file:'.length), file);
    copy = `file:${file}`;
  } else {
    const target = new URL(url);
    target.pathname = `${target.pathname}_${name.toLowerCase()}`;
    await sqlOn(postgres, `CREATE DATABASE "${target.pathname.slice(1)}" TEMPLATE "${new URL(url).pathname.slice(1)}"`);
    removeLater(target.href);
    copy = target.href;
  }
  await dropTriggers(copy);
  return copy;
}

async function dropTriggers(url) {
  if (isSqlite(url)) {
    for (const { name } of await sqlOn(url, `SELECT "name" FROM "sqlite_master" WHERE "type" = 'trigger'`)) {
      await sqlOn(url, `DROP TRIGGER "${name}"`);
    }
    return;
  }
  const triggers = await sqlOn(
    url,
    'SELECT tgname AS "name", tgrelid::regclass::text AS "table" FROM pg_trigger WHERE NOT tgisinternal',
  );
  for (const { name, table } of triggers) {
    await sqlOn(url, `DROP TRIGGER "${name}" ON ${table}`);
  }
}

/** Drops the indexes of the tables that are filled; returns what makes them again, which takes less time than to keep them meanwhile. */
async function dropIndexes(url) {
  const indexes = await sqlOn(
    url,
    isSqlite(url)
      ? `SELECT "name", "sql" AS "definition" FROM "sqlite_master" WHERE "type" = 'index' AND "sql" NOT NULL AND "tbl_name" IN ('Todo', 'Post', 'Note')`
      : `SELECT indexname AS "name", indexdef AS "definition" FROM pg_indexes WHERE tablename IN ('Todo', 'Post', 'Note') AND indexname NOT LIKE '%pkey'`,
  );
  for (const { name } of indexes) {
    await sqlOn(url, `DROP INDEX "${name}"`);
  }
  return async () => {
    for (const { definition } of indexes) {
      await sqlOn(url, definition);
    }
  };
}

/**
 * Fills a new database with so many todos and posts, and as many notes (1,000 at least), while no server runs on it; they are no part of the log. Returns
 * what the requests name.
 */
export async function fill(url, rows) {
  // The start makes the tables.
  await (await startServer(environmentOf(url))).stop('SIGTERM');
  await dropTriggers(url);
  const people = await makePeople(url, 'person', PEOPLE);
  const [owner] = people;
  const [staff] = await makePeople(url, 'staff', 1);
  await sqlOn(url, `UPDATE "User" SET "isStaff" = ? WHERE "id" = ?`, [isSqlite(url) ? 1 : true, staff.id]);
  const chat = await makeChat(url, 'abcdef012345678', [...people, staff]);
  const [{ first }] = await sqlOn(url, 'SELECT min("id") AS "first" FROM "User"');
  const series = (count) =>
    isSqlite(url)
      ? `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`
      : `WITH n(i) AS (SELECT generate_series(1, ${count}))`;
  // Different for each row, and in another order than the ids.
  const scattered = `((n.i * 7919) % 1000003)`;
  const time = isSqlite(url)
    ? `strftime('%Y-%m-%dT%H:%M:%f+00:00', 1700000000 + ${scattered}, 'unixepoch')`
    : `to_timestamp(1700000000 + ${scattered})::timestamp`;
  const person = `${first} + n.i % ${PEOPLE}`;
  const restoreIndexes = await dropIndexes(url);
  await sqlOn(
    url,
    `${series(rows)} INSERT INTO "Todo" ("title", "ownerId", "createdAt", "updatedAt")
     SELECT 'todo ' || ${scattered}, ${person}, ${time}, ${time} FROM n`,
  );
  await sqlOn(
    url,
    `${series(rows)} INSERT INTO "Post" ("title", "content", "authorId", "createdAt", "updatedAt")
     SELECT 'post ' || ${scattered}, '${'A few words of no importance. '.repeat(5)}', ${person}, ${time}, ${time} FROM n`,
  );
  await sqlOn(
    url,
    `${series(Math.max(rows, LIST_LENGTH))} INSERT INTO "Note" ("title", "description", "priority", "createdAt", "createdBy", "ownerId", "insertedAt", "updatedAt")
     SELECT 'note ' || ${scattered}, 'a remark', n.i % 10, '2026-01-01 10:' || ${scattered}, 'somebody', ${rows > LIST_LENGTH ? person : 'NULL'}, ${time}, ${time} FROM n`,
  );
  await restoreIndexes();
  if (!isSqlite(url)) {
    await sqlOn(url, 'VACUUM ANALYZE');
  }
  const step = Math.ceil(rows / SAMPLE);
  const todos = await sqlOn(url, `SELECT "id", "ownerId", "title" FROM "Todo" WHERE "id" % ${step} = 0 ORDER BY "id"`);
  const [{ postId }] = await sqlOn(url, 'SELECT max("id") AS "postId" FROM "Post"');
  const authorizationOf = new Map(people.map(({ id, authorization }) => [id, authorization]));
  return {
    rows,
    todos: todos.map(({ id, ownerId, title }) => ({ id, title, authorization: authorizationOf.get(ownerId) })),
    people: people.map(({ authorization }) => authorization),
    postId,
    noteId: LIST_LENGTH / 2,
    staff: staff.authorization,
    chat: { uri: chat.uri, authorization: owner.authorization },
  };
}

export const graphql = (query, variables, authorization) => ({
  method: 'POST',
  path: '/graphql',
  headers: { 'content-type': 'application/json', ...(authorization && { authorization }) },
  body: JSON.stringify({ query, variables }),
});
export const BY_ID = 'query ($id: ID!) { todo(id: $id) { id title completed } }';
export const PAGE = '{ posts(first: 20) { nodes { id title author { id username } } } }';
const UPDATE =
  'mutation ($id: ID!, $completed: Boolean!) { updateTodo(id: $id, input: { completed: $completed }) { FIELDS } }';
const flip = (index) => index % 2 === 0;

export function casesOfPeer({ todos }) {
  const update = UPDATE.replace('FIELDS', 'id completed');
  return {
    'by id': todos.map(({ id }) => graphql(BY_ID, { id })),
    'page of 20 with author': [graphql(PAGE)],
    update: todos.map(({ id }, index) => graphql(update, { id, completed: flip(index) })),
  };
}

export function casesOfBare({ todos }) {
  const post = (path, body) => ({ method: 'POST', path, body: JSON.stringify(body) });
  return {
    'by id': todos.map(({ id }) => post('/todo', { id })),
    'page of 20 with author': [post('/page', {})],
    update: todos.map(({ id }, index) => post('/update', { id, completed: flip(index) })),
    'list of 1,000 posts': [post('/posts', {})],
    'list of 1,000 notes': [post('/notes', {})],
  };
}

export function casesOfTidings({ todos, people, postId, noteId, chat }) {
  const update = UPDATE.replace('FIELDS', '... on Todo { id completed }');
  const json = (authorization) => ({ 'content-type': 'application/json', authorization });
  const everybody = (make) => people.map(make);
  return {
    '{ __typename }, anonymous': [graphql('{ __typename }')],
    '{ __typename }, signed in': everybody((person) => graphql('{ __typename }', undefined, person)),
    'by id': todos.map(({ id, authorization }) => graphql(BY_ID, { id }, authorization)),
    'page of 20 with author': everybody((person) => graphql(PAGE, undefined, person)),
    update: todos.map(({ id, authorization }, index) => graphql(update, { id, completed: flip(index) }, authorization)),
    'GET /api/posts/<id>/': everybody((person) => ({ path: `/api/posts/${postId}/`, headers: json(person) })),
    'GET /notes/<id>': everybody((person) => ({ path: `/notes/${noteId}`, headers: json(person) })),
    'PATCH /api/todos/<id>': todos.map(({ id, authorization }, index) => ({
      method: 'PATCH',
      path: `/api/todos/${id}`,
      headers: json(authorization),
      body: JSON.stringify({ completed: flip(index) }),
    })),
    'POST …/messages/': [
      {
        method: 'POST',
        path: `/api/chats/${chat.uri}/messages/`,
        headers: json(chat.authorization),
        body: '{"message":"hello"}',
      },
    ],
    'list of 1,000 posts': everybody((person) => ({ path: '/api/posts/?limit=1000', headers: json(person) })),
    'list of 1,000 notes': everybody((person) => ({ path: '/notes/', headers: json(person) })),
  };
}

/** Sends requests in turn for some seconds over 32 connections. */
export async function measure({ url, pid }, requests, seconds, connections = CONNECTIONS) {
  const run = (duration) => autocannon({ url, connections, duration, requests });
  await run(0.5);
  const before = cpuSeconds(pid);
  const { requests: answered, duration, latency, non2xx, errors } = await run(seconds);
  if (non2xx + errors > 0) {
    throw new Error(`${non2xx} answers of another status and ${errors} failures for ${JSON.stringify(requests[0])}`);
  }
  return {
    rate: answered.total / duration,
    cpu: ((cpuSeconds(pid) - before) * 1e6) / answered.total,
    p99: latency.p99,
  };
}

/** Subscribes a member of staff to all that the requests write; returns what ends it. */
export async function watchEverything(url, { staff, chat }) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const send = (message) => socket.send(JSON.stringify(message));
  await new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('open', () => send({ type: 'connection_init', payload: { authorization: staff } }));
    socket.once('message', resolve);
  });
  const subscribe = (id, query, variables) => send({ id, type: 'subscribe', payload: { query, variables } });
  subscribe('todos', 'subscription { todoChanged { action todo { id completed } } }');
  subscribe('chat', 'subscription ($uri: String!) { chatMessageChanged(uri: $uri) { chatMessage { message } } }', {
    uri: chat.uri,
  });
  socket.on('message', (data) => {
    if (!String(data.subarray(0, 60)).includes('"type":"next"')) {
      throw new Error(`A subscription of the benchmark ended: ${data}`);
    }
  });
  return () => socket.terminate();
}

export const median = (values) => [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)];
