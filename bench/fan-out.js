// How long a committed change takes to reach every one of many subscribers, and whether any is lost or out of order:
//   npm run bench -- [subscribers] [writes a second] [seconds]
// The server runs in a process of its own; so does the naive one that stands beside it for comparison (`peers/pubsub.js`).
// With DATABASE_URL=postgres://… (and a SECRET_KEY) it runs over that database, which is to be empty.
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { ask, cpuSeconds, inFolder, report, withServer } from './server.js';

const [subscribers = 1000, rate = 50, seconds = 20] = process.argv.slice(2).map(Number);
const SETTLE_MS = 3000;

/** Subscribes and calls back with each event. */
function subscribe(url, query, variables, onEvent) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      perMessageDeflate: false,
    });
    socket.on('error', reject);
    socket.on('open', () => socket.send('{"type":"connection_init"}'));
    socket.on('message', (data) => {
      const message = JSON.parse(String(data));
      if (message.type === 'connection_ack') {
        socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query, variables } }));
        // Answered only after the subscription before it was taken note of.
        socket.send(JSON.stringify({ id: '2', type: 'subscribe', payload: { query: '{ __typename }' } }));
      } else if (message.type === 'next' && message.id === '1') {
        onEvent(message.payload.data.todoChanged);
      } else if (message.type === 'complete' && message.id === '2') {
        resolve(socket);
      }
    });
  });
}

/** The time at which the database wrote the change, in milliseconds since 1970, out of the cursor. */
const committedAt = (cursor) => Number.parseInt(cursor.split('-')[1], 36);

async function measure(name, url, pid) {
  const { createTodoList } = await ask(
    url,
    'mutation { createTodoList(input: { name: "bench" }) { ... on TodoList { id } } }',
  );
  const listId = createTodoList.id;
  const query = 'subscription ($listId: ID!) { todoChanged(listId: $listId) { cursor todo { id title } } }';
  const latencies = [];
  const seen = Array.from({ length: subscribers }, () => 0);
  let disorder = 0;
  const sockets = await Promise.all(
    seen.map((_, index) =>
      subscribe(url, query, { listId }, ({ cursor, todo }) => {
        latencies.push(Date.now() - committedAt(cursor));
        disorder += Number(todo.title) === seen[index] ? 0 : 1;
        seen[index] = Number(todo.title) + 1;
      }),
    ),
  );
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const cpuBefore = cpuSeconds(pid);
  const begun = performance.now();
  const writes = rate * seconds;
  for (let count = 0; count < writes; count += 1) {
    const due = begun + (count * 1000) / rate;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    await ask(
      url,
      'mutation ($input: CreateTodoInput!) { createTodo(input: $input) { ... on Todo { id } ... on Error { message } } }',
      { input: { title: String(count), listId } },
    );
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

await inFolder(async (folder) => {
  const env = { DATABASE_URL: process.env.DATABASE_URL ?? `file:${join(folder, 'bench.db')}` };
  const ours = await withServer(env, (url, pid) => measure('tidings', url, pid));
  const naive = (url, pid) => measure('pubsub, executed per subscriber', url, pid);
  report([ours, await withServer({}, naive, 'bench/peers/pubsub.js')]);
});
