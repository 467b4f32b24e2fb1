// What a request costs: Tidings with authentication, rights and a change log beside its peers without any of them, over the same tables.
// node bench/requests.js [seconds] [rounds] [rows]; its peers are installed with `npm --prefix bench/peers install`.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Sqlite from 'better-sqlite3';
import { ask, cpuSeconds, inFolder, startServer } from './server.js';

const [seconds = 2, rounds = 3, rows = 1_000] = process.argv.slice(2).map(Number);
const CONNECTIONS = 32;
const PEOPLE = 16;
const SAMPLE = 64;
const here = fileURLToPath(new URL('.', import.meta.url));
const autocannon = createRequire(join(here, 'peers/package.json'))('autocannon');

/** The cases, by server; each makes the requests that are sent in turn. */
const graphql = (query, variables, token) => ({
  method: 'POST',
  path: '/graphql',
  headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
  body: JSON.stringify({ query, variables }),
});
const BY_ID = 'query ($id: ID!) { todo(id: $id) { id title completed } }';
const PAGE = '{ posts(first: 20) { nodes { id title author { id username } } } }';
const UPDATE =
  'mutation ($id: ID!, $completed: Boolean!) { updateTodo(id: $id, input: { completed: $completed }) { FIELDS } }';
const flip = (index) => index % 2 === 0;

function casesOfPeer({ todos }) {
  const update = UPDATE.replace('FIELDS', 'id completed');
  return {
    'by id': todos.map(({ id }) => graphql(BY_ID, { id })),
    'page of 20 with author': [graphql(PAGE)],
    update: todos.map(({ id }, index) => graphql(update, { id, completed: flip(index) })),
  };
}

function casesOfBare({ todos }) {
  const post = (path, body) => ({ method: 'POST', path, body: JSON.stringify(body) });
  return {
    'by id': todos.map(({ id }) => post('/todo', { id })),
    'page of 20 with author': [post('/page', {})],
    update: todos.map(({ id }, index) => post('/update', { id, completed: flip(index) })),
    'list of 1,000 posts': [post('/posts', {})],
    'list of 1,000 notes': [post('/notes', {})],
  };
}

function casesOfTidings({ todos, tokens, postId, noteId, chat }) {
  const update = UPDATE.replace('FIELDS', '... on Todo { id completed }');
  const json = (token) => ({ 'content-type': 'application/json', authorization: `Bearer ${token}` });
  const everybody = (make) => tokens.map(make);
  return {
    '{ __typename }, anonymous': [graphql('{ __typename }')],
    '{ __typename }, signed in': everybody((token) => graphql('{ __typename }', undefined, token)),
    'by id': todos.map(({ id, token }) => graphql(BY_ID, { id }, token)),
    'page of 20 with author': everybody((token) => graphql(PAGE, undefined, token)),
    update: todos.map(({ id, token }, index) => graphql(update, { id, completed: flip(index) }, token)),
    'GET /api/posts/<id>/': everybody((token) => ({ path: `/api/posts/${postId}/`, headers: json(token) })),
    'GET /notes/<id>': everybody((token) => ({ path: `/notes/${noteId}`, headers: json(token) })),
    'PATCH /api/todos/<id>': todos.map(({ id, token }, index) => ({
      method: 'PATCH',
      path: `/api/todos/${id}`,
      headers: json(token),
      body: JSON.stringify({ completed: flip(index) }),
    })),
    'POST …/messages/': [
      {
        method: 'POST',
        path: `/api/chats/${chat.uri}/messages/`,
        headers: json(chat.token),
        body: '{"message":"hello"}',
      },
    ],
    'list of 1,000 posts': everybody((token) => ({ path: '/api/posts/?limit=1000', headers: json(token) })),
    'list of 1,000 notes': everybody((token) => ({ path: '/notes/', headers: json(token) })),
  };
}

/** Fills the database of a running server, so that every server has the same rows; returns what the requests name. */
async function fill(url, file) {
  const people = [];
  for (let index = 0; index < PEOPLE; index += 1) {
    const login = { username: `person${index}`, password: 'a good long password' };
    const made = await ask(url, 'mutation ($i: SignUpInput!) { signUp(input: $i) { ... on User { id } } }', {
      i: login,
    });
    const { obtainToken } = await ask(
      url,
      'mutation ($i: LoginInput!) { obtainToken(input: $i) { ... on TokenPair { token } } }',
      { i: login },
    );
    people.push({ id: Number(made.signUp.id), token: obtainToken.token });
  }
  const [owner] = people;
  const { createChatSession } = await ask(url, 'mutation { createChatSession { uri } }', {}, `Bearer ${owner.token}`);
  const database = new Sqlite(file, { timeout: 10_000 });
  const now = new Date().toISOString().replace('Z', '+00:00');
  const insert = (text) => database.prepare(text);
  const todo = insert('INSERT INTO "Todo" ("title", "ownerId", "updatedAt") VALUES (?, ?, ?)');
  const post = insert('INSERT INTO "Post" ("title", "content", "authorId", "updatedAt") VALUES (?, ?, ?, ?)');
  const note = insert(
    'INSERT INTO "Note" ("title", "description", "priority", "createdAt", "createdBy", "ownerId", "updatedAt") VALUES (?, ?, 1, ?, ?, NULL, ?)',
  );
  const todos = [];
  database.transaction(() => {
    for (let index = 0; index < rows; index += 1) {
      const { id, token } = people[index % PEOPLE];
      const { lastInsertRowid } = todo.run(`todo ${index}`, id, now);
      post.run(`post ${index}`, 'A few words of no importance. '.repeat(5), id, now);
      if (index < 1_000) {
        note.run(`note ${index}`, 'a remark', '2026-01-01 10:00', 'somebody', now);
      }
      if (index % Math.ceil(rows / SAMPLE) === 0) {
        todos.push({ id: Number(lastInsertRowid), token });
      }
    }
  })();
  const idOf = (table) => database.prepare(`SELECT max("id") AS "id" FROM "${table}"`).get().id;
  const filled = {
    todos,
    tokens: people.map(({ token }) => token),
    postId: idOf('Post'),
    noteId: idOf('Note'),
    chat: { uri: createChatSession.uri, token: owner.token },
  };
  database.close();
  return filled;
}

/** A copy of the database without the log's triggers: the peers write plain rows. */
function copyFor(name, folder, file) {
  const copy = join(folder, `${name}.db`);
  copyFileSync(file, copy);
  const database = new Sqlite(copy);
  for (const trigger of database.prepare(`SELECT "name" FROM "sqlite_master" WHERE "type" = 'trigger'`).all()) {
    database.exec(`DROP TRIGGER "${trigger.name}"`);
  }
  database.close();
  return copy;
}

async function measure({ url, pid }, requests) {
  const run = (duration) => autocannon({ url, connections: CONNECTIONS, duration, requests });
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

const median = (values) => [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)];

const results = await inFolder(async (folder) => {
  const file = join(folder, 'tidings.db');
  const env = { DATABASE_URL: `file:${file}`, SECRET_KEY: 'a secret of the benchmark, of forty letters' };
  const first = await startServer(env);
  const filled = await fill(first.url, file);
  await first.stop('SIGTERM');
  const servers = {
    Tidings: { server: await startServer(env), cases: casesOfTidings(filled) },
    bare: await peer('bare', casesOfBare),
    Mercurius: await peer('mercurius', casesOfPeer),
    Apollo: await peer('apollo', casesOfPeer),
    Yoga: await peer('yoga', casesOfPeer),
  };
  async function peer(name, casesOf) {
    const server = await startServer({ DATABASE_FILE: copyFor(name, folder, file) }, `bench/peers/${name}.js`);
    return { server, cases: casesOf(filled) };
  }
  const measured = {};
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const name of Object.keys(servers.Tidings.cases)) {
        for (const [label, { server, cases }] of Object.entries(servers)) {
          if (cases[name]) {
            measured[name] ??= {};
            measured[name][label] ??= [];
            measured[name][label].push(await measure(server, cases[name]));
          }
        }
      }
    }
  } finally {
    await Promise.all(Object.values(servers).map(({ server }) => server.stop('SIGKILL')));
  }
  return measured;
});

const PEERS = ['Mercurius', 'Apollo', 'Yoga'];
/** What a case is compared with when the bare server has none of its name. */
const BARE_CASE = {
  '{ __typename }, anonymous': 'by id',
  '{ __typename }, signed in': 'by id',
  'GET /api/posts/<id>/': 'by id',
  'GET /notes/<id>': 'by id',
  'PATCH /api/todos/<id>': 'update',
  'POST …/messages/': 'update',
};
const rateOf = (samples) => median(samples.map(({ rate }) => rate));
/** The lowest and highest ratio of two servers in one round. */
const spread = (left, right) => left.map(({ rate }, round) => rate / right[round].rate).sort((a, b) => a - b);

const lines = Object.entries(results).map(([name, byServer]) => {
  const tidings = byServer.Tidings;
  const bare = results[BARE_CASE[name] ?? name]?.bare;
  const best = PEERS.filter((peer) => byServer[peer]).sort((a, b) => rateOf(byServer[b]) - rateOf(byServer[a]))[0];
  const ratio = (other) => {
    if (!other) {
      return '';
    }
    const all = spread(tidings, other);
    return `${(rateOf(tidings) / rateOf(other)).toFixed(2)} (${all[0].toFixed(2)}–${all.at(-1).toFixed(2)})`;
  };
  const rate = (server) => (byServer[server] ? Math.round(rateOf(byServer[server])).toLocaleString('en') : '');
  return {
    case: name,
    Tidings: rate('Tidings'),
    'CPU µs': Math.round(median(tidings.map(({ cpu }) => cpu))),
    p99: `${median(tidings.map(({ p99 }) => p99))} ms`,
    Mercurius: rate('Mercurius'),
    Apollo: rate('Apollo'),
    Yoga: rate('Yoga'),
    bare: bare ? Math.round(rateOf(bare)).toLocaleString('en') : '',
    'to the best peer': best ? `${ratio(byServer[best])} ${best}` : '',
    'to bare': ratio(bare),
  };
});

const columns = Object.keys(lines[0]);
const table = [
  `| ${columns.join(' | ')} |`,
  `|${columns.map((_, index) => (index === 0 ? '---' : '--:')).join('|')}|`,
  ...lines.map((line) => `| ${columns.map((column) => line[column]).join(' | ')} |`),
].join('\n');
process.stdout.write(`${table}\n`);

const page = join(here, 'README.md');
const START = '<!-- result -->';
const END = '<!-- /result -->';
const text = readFileSync(page, 'utf8');
const about = `Node ${process.version}, ${rows.toLocaleString('en')} rows, ${CONNECTIONS} connections, medians of ${rounds} rounds of ${seconds} s, ${new Date().toISOString().slice(0, 10)}.`;
writeFileSync(
  page,
  `${text.slice(0, text.indexOf(START) + START.length)}\n${about}\n\n${table}\n${text.slice(text.indexOf(END))}`,
);
writeFileSync(join(here, 'requests.svg'), chart());

/** Requests a second of all servers in the cases that all have, as bars. */
function chart() {
  const shared = Object.entries(results).filter(([, byServer]) => byServer.Mercurius);
  const names = ['Tidings', ...PEERS, 'bare'];
  const colours = { Tidings: '#0f766e', Mercurius: '#64748b', Apollo: '#94a3b8', Yoga: '#cbd5e1', bare: '#e2e8f0' };
  const rowHeight = 20;
  const groupHeight = names.length * rowHeight + 34;
  const width = 720;
  const bars = shared.flatMap(([name, byServer], group) => {
    const most = Math.max(...names.map((server) => rateOf(byServer[server])));
    const top = group * groupHeight + 24;
    return [
      `<text x="8" y="${top}" font-weight="600">${name}, requests a second</text>`,
      ...names.map((server, index) => {
        const rate = rateOf(byServer[server]);
        const y = top + 8 + index * rowHeight;
        const length = Math.max(1, (rate / most) * (width - 220));
        return `<text x="8" y="${y + 13}">${server}</text><rect x="100" y="${y}" width="${length.toFixed(1)}" height="15" fill="${colours[server]}"/><text x="${(106 + length).toFixed(1)}" y="${y + 13}">${Math.round(rate).toLocaleString('en')}</text>`;
      }),
    ];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${shared.length * groupHeight}" font-family="system-ui, sans-serif" font-size="13" fill="#0f172a">
<title>Requests a second of Tidings, its peers and a bare server</title>
<rect width="100%" height="100%" fill="#ffffff"/>
${bars.join('\n')}
</svg>
`;
}
