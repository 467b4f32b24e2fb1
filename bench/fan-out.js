// How long a committed change takes to reach every one of many subscribers, what each delivery costs the server, and whether any is lost or out of order:
//   npm run bench -- [subscribers] [writes a second] [seconds] [row ...]
// Each row is a server in a process of its own, pinned to one core where that is possible; the subscribers run on the others. Beside ours stand the least that a
// broadcast can cost (`peers/broadcast.js`) and a stock graphql-ws server (`peers/pubsub.js`). With DATABASE_URL=postgres://… ours run over
// that database, which has to be empty.
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { makeChat, makePeople, SECRET_KEY } from './people.js';
import { ask, cpuSeconds, inFolder, report, withServer } from './server.js';

const [subscribers = 1000, rate = 20, seconds = 15] = process.argv.slice(2, 5).map(Number);
const wanted = process.argv.slice(5);
const SETTLE_MS = 2000;

/** Subscribes and calls back with the text of each event. */
function subscribe(url, authorization, query, variables, onEvent) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      perMessageDeflate: false,
    });
    socket.on('error', reject);
    socket.on('open', () =>
      socket.send(JSON.stringify({ type: 'connection_init', ...(authorization && { payload: { authorization } }) })),
    );
    socket.on('message', (data) => {
      const text = String(data);
      if (text.startsWith('{"id":"1","type":"next"')) {
        onEvent(text);
      } else if (text.includes('connection_ack')) {
        socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query, variables } }));
        // Answered only after the subscription before it was started.
        socket.send(JSON.stringify({ id: '2', type: 'subscribe', payload: { query: '{ __typename }' } }));
      } else if (text.includes('"id":"2","type":"complete"')) {
        resolve(socket);
      } else if (text.includes('"type":"error"')) {
        reject(new Error(text));
      }
    });
  });
}

/** The time at which the database wrote the change, in milliseconds since 1970, out of the cursor. */
const committedAt = (text) => Number.parseInt(/:\d+-([0-9a-z]+)"/.exec(text)[1], 36);
/** The number that every write carries in its text. */
const numberOf = (text) => Number(/write (\d+)/.exec(text)[1]);

async function measure(name, url, pid, { authorizations, query, variables, write }) {
  const latencies = [];
  const seen = Array.from({ length: subscribers }, () => 0);
  let disorder = 0;
  const sockets = [];
  for (let at = 0; at < subscribers; at += 50) {
    const batch = seen.slice(at, at + 50).map((_, index) =>
      subscribe(url, authorizations[(at + index) % authorizations.length], query, variables, (text) => {
        const number = numberOf(text);
        latencies.push(Date.now() - committedAt(text));
        disorder += number === seen[at + index] ? 0 : 1;
        seen[at + index] = number + 1;
      }),
    );
    sockets.push(...(await Promise.all(batch)));
  }
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const cpuBefore = cpuSeconds(pid);
  const begun = performance.now();
  const writes = rate * seconds;
  for (let count = 0; count < writes; count += 1) {
    const due = begun + (count * 1000) / rate;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    await write(count);
  }
  const took = (performance.now() - begun) / 1000;
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const cpu = cpuSeconds(pid) - cpuBefore;
  latencies.sort((a, b) => a - b);
  const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
  for (const socket of sockets) {
    socket.terminate();
  }
  return {
    name,
    subscribers,
    'writes/s': Math.round(writes / took),
    delivered: latencies.length,
    lost: writes * subscribers - latencies.length,
    'out of order': disorder,
    'p50 ms': at(0.5),
    'p99 ms': at(0.99),
    'max ms': latencies.at(-1),
    'server CPU µs/delivery': Number(((cpu * 1e6) / latencies.length).toFixed(1)),
  };
}

const WRITE_POST =
  'mutation ($t: String!) { createPost(input: { title: $t, content: "-" }) { ... on Post { id } ... on Error { message } } }';
const WRITE_MESSAGE =
  'mutation ($uri: String!, $t: String!) { sendMessage(uri: $uri, message: $t) { ... on ChatMessage { id } ... on Error { message } } }';
const WRITE_TODO =
  'mutation ($input: CreateTodoInput!) { createTodo(input: $input) { ... on Todo { id } ... on Error { message } } }';

async function onList(url) {
  const { createTodoList } = await ask(
    url,
    'mutation { createTodoList(input: { name: "bench" }) { ... on TodoList { id } } }',
  );
  const listId = createTodoList.id;
  return {
    authorizations: [null],
    query: 'subscription ($listId: ID!) { todoChanged(listId: $listId) { cursor todo { id title } } }',
    variables: { listId },
    write: (count) => ask(url, WRITE_TODO, { input: { title: `write ${count}`, listId } }),
  };
}

async function onPosts(url, database) {
  const people = await makePeople(database, 'reader', subscribers);
  return {
    authorizations: people.map(({ authorization }) => authorization),
    query: 'subscription { postChanged { cursor post { id title author { username } } } }',
    write: (count) => ask(url, WRITE_POST, { t: `write ${count}` }, people[0].authorization),
  };
}

async function onChat(url, database) {
  const people = await makePeople(database, 'member', subscribers);
  const { uri } = await makeChat(database, '0123456789ab4ef', people);
  return {
    authorizations: people.map(({ authorization }) => authorization),
    query:
      'subscription ($uri: String!) { chatMessageChanged(uri: $uri) { cursor chatMessage { id message user { username } } } }',
    variables: { uri },
    write: (count) => ask(url, WRITE_MESSAGE, { uri, t: `write ${count}` }, people[0].authorization),
  };
}

/** Frames as long as those of a chat. */
async function onBroadcast(url) {
  const payload = (count) =>
    JSON.stringify({
      data: {
        chatMessageChanged: {
          cursor: `0123456789abcdef:${100_000 + count}-${Date.now().toString(36)}`,
          chatMessage: { id: String(count), message: `write ${count}`, user: { username: 'member1' } },
        },
      },
    });
  return {
    authorizations: [null],
    query: '',
    write: async (count) => {
      await (await fetch(url, { method: 'POST', body: payload(count) })).text();
    },
  };
}

const ROWS = {
  anonymous: { name: 'Tidings: anonymous, one list', prepare: onList },
  posts: { name: 'Tidings: different users, posts with author', prepare: onPosts },
  chat: { name: 'Tidings: different users, one chat, with author', prepare: onChat },
  broadcast: { name: 'bare ws broadcast', prepare: onBroadcast, script: 'bench/peers/broadcast.js' },
  graphqlws: { name: 'stock graphql-ws, executed per subscriber', prepare: onList, script: 'bench/peers/pubsub.js' },
};

const rows = [];
for (const [key, { name, prepare, script }] of Object.entries(ROWS)) {
  if (wanted.length === 0 || wanted.includes(key)) {
    await inFolder(async (folder) => {
      const database = process.env.DATABASE_URL ?? `file:${join(folder, 'bench.db')}`;
      const run = async (url, pid) => measure(name, url, pid, await prepare(url, database));
      rows.push(await withServer({ DATABASE_URL: database, SECRET_KEY }, run, script));
    });
  }
}
report(rows);
