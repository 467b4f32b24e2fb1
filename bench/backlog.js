// What catching up costs: subscriptions that resume behind a long log, a reconnection storm, revocations behind a bulk write, memory, and the start of a server
// with many chats.
//   npm run build && node bench/backlog.js [case ...]
// With DATABASE_URL=postgres://… over that database; it has to be empty, and each case leaves its rows there: give one case at a time.
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { makeChat, makePeople, memoryOf, SECRET_KEY, sqlOn } from './people.js';
import { ask, cpuSeconds, inFolder, report, startServer } from './server.js';

const wanted = process.argv.slice(2);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const isSqlite = (database) => database.startsWith('file:');
const numbers = (database, count) =>
  isSqlite(database)
    ? `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`
    : `WITH n(i) AS (SELECT generate_series(1, ${count}))`;
const now = (database) => (isSqlite(database) ? `'2026-01-01T00:00:00.000+00:00'` : 'now()');

/** A socket of graphql-transport-ws that counts what it receives. */
async function connect(url, authorization) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    perMessageDeflate: false,
  });
  const client = { socket, events: 0, bytes: 0, closed: null, onEvent: () => undefined };
  await new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', (code) => {
      client.closed = code;
      reject(new Error(`closed with ${code}`));
    });
    socket.on('open', () =>
      socket.send(JSON.stringify({ type: 'connection_init', ...(authorization && { payload: { authorization } }) })),
    );
    socket.on('message', (data) => {
      client.bytes += data.length;
      const head = String(data.subarray(0, 60));
      if (head.includes('"type":"next"')) {
        client.events += 1;
        client.onEvent(data);
      } else if (head.includes('connection_ack')) {
        resolve();
      } else if (head.includes('"type":"error"')) {
        process.stderr.write(`${data}\n`);
      }
    });
  });
  client.subscribe = (id, query, variables) =>
    socket.send(JSON.stringify({ id, type: 'subscribe', payload: { query, variables } }));
  return client;
}

/** Calls `/health`, or a query, again and again; gives the longest time that an answer took. */
function probe(url, call = () => fetch(`${url}/health`).then((response) => response.text())) {
  let longest = 0;
  let isOver = false;
  const running = (async () => {
    while (!isOver) {
      const begun = performance.now();
      await call();
      longest = Math.max(longest, performance.now() - begun);
      await pause(5);
    }
  })();
  return async () => {
    isOver = true;
    await running;
    return Math.round(longest);
  };
}

const cursorOf = async (url, authorization) => (await ask(url, '{ cursor }', {}, authorization)).cursor;

const until = async (condition, timeoutMs = 120_000) => {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) {
      return false;
    }
    await pause(2);
  }
  return true;
};

const insertTodos = (database, count, owner) =>
  sqlOn(
    database,
    `${numbers(database, count)} INSERT INTO "Todo" ("title", "ownerId", "updatedAt")
     SELECT 'todo ' || i, ${owner ?? 'NULL'}, ${now(database)} FROM n`,
  );

/** Twenty subscriptions of one anonymous socket with an old cursor. */
const anonymous =
  (owner, rows) =>
  async ({ database, start }) => {
    const server = await start();
    const [somebody] = await makePeople(database, 'somebody', 1);
    const after = await cursorOf(server.url);
    await insertTodos(database, rows, owner ? somebody.id : null);
    await insertTodos(database, 1, null);
    await pause(500);
    const client = await connect(server.url);
    const stop = probe(server.url);
    const begun = performance.now();
    const cpu = cpuSeconds(server.pid);
    for (let id = 0; id < 20; id += 1) {
      client.subscribe(
        String(id),
        'subscription ($after: String) { todoChanged(after: $after) { cursor todo { id title } } }',
        { after },
      );
    }
    const expected = 20 * (owner ? 1 : rows + 1);
    await until(() => client.events >= expected);
    return {
      events: client.events,
      'until live ms': Math.round(performance.now() - begun),
      'CPU ms': Math.round((cpuSeconds(server.pid) - cpu) * 1000),
      'longest /health ms': await stop(),
    };
  };

const CASES = {
  'one of 1,000,000': async ({ database, start }) => {
    const server = await start();
    const [ann, ben] = await makePeople(database, 'person', 2);
    const after = await cursorOf(server.url);
    for (let part = 0; part < 10; part += 1) {
      await insertTodos(database, 10, ann.id);
      await insertTodos(database, 99_990, ben.id);
    }
    await pause(3000);
    const client = await connect(server.url, ann.authorization);
    // Warm: another one has resumed before, as on a server that runs.
    const warm = await connect(server.url, ben.authorization);
    warm.subscribe('1', 'subscription ($after: String) { noteChanged(after: $after) { cursor } }', { after });
    await pause(500);
    const cpu = cpuSeconds(server.pid);
    const begun = performance.now();
    client.subscribe('1', 'subscription ($after: String) { todoChanged(after: $after) { cursor todo { id title } } }', {
      after,
    });
    await until(() => client.events >= 100);
    return {
      events: client.events,
      'until live ms': Math.round(performance.now() - begun),
      'CPU ms': Math.round((cpuSeconds(server.pid) - cpu) * 1000),
    };
  },
  '20 anonymous, 200,000 of others': anonymous(true, 200_000),
  '20 anonymous, 20,000 of everybody': anonymous(false, 20_000),
  'storm of 1,000 users, 500 behind': async ({ database, start }) => {
    const server = await start();
    const people = await makePeople(database, 'member', 1000);
    const chat = await makeChat(database, '0123456789ab4ef', people);
    const after = await cursorOf(server.url);
    await sqlOn(
      database,
      `${numbers(database, 500)} INSERT INTO "ChatMessage" ("chatSessionId", "userId", "message", "updatedAt")
       SELECT ${chat.id}, ${people[0].id}, 'message ' || i, ${now(database)} FROM n`,
    );
    await server.stop('SIGKILL');
    const next = await start();
    const before = memoryOf(next.pid);
    const stopHealth = probe(next.url);
    const stopQuery = probe(next.url, () => ask(next.url, '{ viewer { username } }', {}, people[1].authorization));
    const begun = performance.now();
    const cpu = cpuSeconds(next.pid);
    const query =
      'subscription ($uri: String!, $after: String) { chatMessageChanged(uri: $uri, after: $after) { cursor chatMessage { id message user { username } } } }';
    let live = 0;
    let refused = 0;
    await Promise.all(
      people.map(async ({ authorization }) => {
        try {
          const client = await connect(next.url, authorization);
          client.subscribe('1', query, { uri: chat.uri, after });
          await until(() => client.events >= 500 || client.closed !== null);
          live += client.events >= 500 ? 1 : 0;
        } catch {
          refused += 1;
        }
      }),
    );
    const took = performance.now() - begun;
    return {
      live,
      refused,
      'until all live ms': Math.round(took),
      'CPU ms': Math.round((cpuSeconds(next.pid) - cpu) * 1000),
      'memory before MiB': Math.round(before.now),
      'peak MiB': Math.round(memoryOf(next.pid).peak),
      'longest /health ms': await stopHealth(),
      'longest query ms': await stopQuery(),
    };
  },
  'revocation behind 300,000 rows': async ({ database, start }) => {
    const server = await start();
    const signUp = 'mutation { signUp(input: { username: "ann", password: "a good long one" }) { __typename } }';
    await ask(server.url, signUp);
    const { obtainToken } = await ask(
      server.url,
      'mutation { obtainToken(input: { username: "ann", password: "a good long one" }) { ... on TokenPair { token } } }',
    );
    const [{ id }] = await sqlOn(database, `SELECT "id" FROM "User" WHERE "username" = 'ann'`);
    await insertTodos(database, 300_000, id);
    await pause(4000);
    const client = await connect(server.url, `Bearer ${obtainToken.token}`);
    client.subscribe('1', 'subscription { todoChanged { cursor todo { id title } } }');
    await pause(500);
    let lastAt = 0;
    client.onEvent = () => {
      lastAt = performance.now();
    };
    await sqlOn(database, `UPDATE "Todo" SET "title" = 'all'`);
    await sqlOn(database, `DELETE FROM "Session"`);
    const begun = performance.now();
    await until(() => client.closed !== null);
    const closed = performance.now() - begun;
    await pause(500);
    return {
      'closed ms': Math.round(closed),
      code: client.closed,
      'last event ms': Math.round(lastAt - begun),
      events: client.events,
    };
  },
  '2,000 users, 300 events of 2 kB': async ({ database, start }) => {
    const server = await start();
    const people = await makePeople(database, 'reader', 2000);
    await pause(1000);
    const before = memoryOf(server.pid);
    const clients = [];
    for (let at = 0; at < people.length; at += 50) {
      clients.push(
        ...(await Promise.all(
          people.slice(at, at + 50).map(({ authorization }) => connect(server.url, authorization)),
        )),
      );
    }
    for (const client of clients) {
      client.subscribe('1', 'subscription { postChanged { cursor post { id title content author { username } } } }');
    }
    await pause(4000);
    for (let part = 0; part < 30; part += 1) {
      await sqlOn(
        database,
        `${numbers(database, 10)} INSERT INTO "Post" ("title", "content", "authorId", "updatedAt")
         SELECT 'post ' || i, ${isSqlite(database) ? `printf('%.2000c', 'x')` : `repeat('x', 2000)`}, ${people[0].id}, ${now(database)} FROM n`,
      );
      await pause(300);
    }
    await until(() => clients.every(({ events }) => events >= 300));
    await pause(3000);
    const after = memoryOf(server.pid);
    return {
      events: clients.reduce((sum, { events }) => sum + events, 0),
      'KiB a socket': Math.round(((after.now - before.now) * 1024) / clients.length),
      'peak MiB': Math.round(after.peak),
    };
  },
  '40 streams, 500 updates of 100 kB': async ({ database, start }) => {
    const server = await start();
    const [ann] = await makePeople(database, 'person', 1);
    const letters = isSqlite(database) ? `printf('%.100000c', 'x')` : `repeat('x', 100000)`;
    await sqlOn(
      database,
      `INSERT INTO "Post" ("title", "content", "authorId", "updatedAt") VALUES ('long', ${letters}, ${ann.id}, ${now(database)})`,
    );
    await pause(500);
    const after = await cursorOf(server.url, ann.authorization);
    for (let count = 0; count < 500; count += 1) {
      await sqlOn(database, `UPDATE "Post" SET "title" = 'update ${count}'`);
    }
    await pause(2000);
    const before = memoryOf(server.pid);
    const client = await connect(server.url, ann.authorization);
    for (let id = 0; id < 40; id += 1) {
      client.subscribe(
        String(id),
        `subscription ($after: String) { postChanged(after: $after) { cursor post { a${id}: content title } } }`,
        { after },
      );
    }
    await until(() => client.events >= 40 * 500);
    return {
      events: client.events,
      'memory before MiB': Math.round(before.now),
      'peak more MiB': Math.round(memoryOf(server.pid).peak - before.now),
    };
  },
  'start with 1,000,000 chats': async ({ database, start }) => {
    const startOnce = async () => {
      const begun = performance.now();
      const server = await start();
      await fetch(`${server.url}/ready`);
      const took = performance.now() - begun;
      await server.stop('SIGTERM');
      return took;
    };
    await startOnce();
    const empty = Math.min(await startOnce(), await startOnce(), await startOnce());
    const people = await makePeople(database, 'member', 1000);
    await sqlOn(
      database,
      `${numbers(database, 1_000_000)} INSERT INTO "ChatSession" ("uri", "ownerId", "updatedAt")
       SELECT ${isSqlite(database) ? `printf('%015x', i)` : `lpad(to_hex(i), 15, '0')`}, ${people[0].id}, ${now(database)} FROM n`,
    );
    for (let member = 1; member <= 5; member += 1) {
      await sqlOn(
        database,
        `INSERT INTO "ChatMember" ("chatSessionId", "userId", "updatedAt") SELECT "id", ${people[member].id}, ${now(database)} FROM "ChatSession"`,
      );
    }
    const full = Math.min(await startOnce(), await startOnce(), await startOnce());
    return { 'empty ms': Math.round(empty), 'full ms': Math.round(full), ratio: Number((full / empty).toFixed(2)) };
  },
};

const rows = [];
for (const [name, run] of Object.entries(CASES)) {
  if (wanted.length === 0 || wanted.some((part) => name.includes(part))) {
    await inFolder(async (folder) => {
      const database = process.env.DATABASE_URL ?? `file:${join(folder, 'bench.db')}`;
      const servers = [];
      const start = async () => {
        const server = await startServer({ DATABASE_URL: database, SECRET_KEY, USER_MAX_SOCKETS: '5000' });
        servers.push(server);
        return server;
      };
      try {
        rows.push({ name, ...(await run({ database, start })) });
      } finally {
        await Promise.all(servers.map((server) => server.stop(process.env.BENCH_FLAGS ? 'SIGTERM' : 'SIGKILL')));
      }
    });
    report(rows.splice(0));
  }
}
process.exit(0);
