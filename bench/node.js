// What one node holds: requests a second of the common calls, and memory for each socket that waits.
//   npm run build && node bench/node.js [sockets] [seconds]
// With DATABASE_URL=postgres://… (and a SECRET_KEY) it runs over that database, which is to be empty.
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { ask, cpuSeconds, inFolder, report, residentMiB, withServer } from './server.js';

const [sockets = 2000, seconds = 5] = process.argv.slice(2).map(Number);
const CONNECTIONS = 32;
const SETTLE_MS = 2000;
const WARM_UP_S = 2;
const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });

function send(url, { method, path, body, headers }) {
  return new Promise((resolve, reject) => {
    const outgoing = request(`${url}${path}`, {
      method,
      agent,
      headers: { 'content-type': 'application/json', ...headers },
    });
    outgoing.once('error', reject);
    outgoing.once('response', (incoming) => {
      incoming.resume();
      incoming.once('end', () =>
        incoming.statusCode < 300 ? resolve() : reject(new Error(`${path}: ${incoming.statusCode}`)),
      );
    });
    outgoing.end(body);
  });
}

/** Each connection sends a call of its own, again and again; what comes before the count only warms up. */
async function requestsPerSecond(name, url, pid, calls) {
  await repeat(url, calls, WARM_UP_S);
  const cpu = cpuSeconds(pid);
  const { count, took } = await repeat(url, calls, seconds);
  const each = Math.round(((cpuSeconds(pid) - cpu) * 1e6) / count);
  return { name, 'per second': Math.round(count / took), 'CPU µs each': each };
}

async function repeat(url, calls, duration) {
  const begun = performance.now();
  let count = 0;
  const run = async (call) => {
    while (performance.now() - begun < duration * 1000) {
      await send(url, call);
      count += 1;
    }
  };
  await Promise.all(calls.map(run));
  return { count, took: (performance.now() - begun) / 1000 };
}

const graphql = (query) => ({ method: 'POST', path: '/graphql', body: JSON.stringify({ query }) });

function subscribe(url) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    socket.on('error', reject);
    socket.on('open', () => socket.send('{"type":"connection_init"}'));
    socket.on('message', (data) => {
      if (String(data).includes('connection_ack')) {
        const query = 'subscription { todoChanged { cursor todo { id title } } }';
        socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query } }));
        resolve(socket);
      }
    });
  });
}

async function signIn(url) {
  const input = '{ username: "bench", password: "a good long one" }';
  await ask(url, `mutation { signUp(input: ${input}) { __typename } }`);
  const { obtainToken } = await ask(url, `mutation { obtainToken(input: ${input}) { ... on TokenPair { token } } }`);
  return { authorization: `JWT ${obtainToken.token}` };
}

async function measureCalls(url, pid) {
  const ids = [];
  while (ids.length < CONNECTIONS) {
    const { createTodo } = await ask(url, 'mutation { createTodo(input: { title: "bench" }) { ... on Todo { id } } }');
    ids.push(createTodo.id);
  }
  const headers = await signIn(url);
  const queryOne = (id) => graphql(`{ todo(id: "${id}") { id title completed } }`);
  const calls = {
    'query: one todo': queryOne,
    'query: one todo, signed in': (id) => ({ ...queryOne(id), headers }),
    'query: a page of 20 todos with their lists': () => graphql('{ todos { nodes { id title list { name } } } }'),
    'mutation: createTodo': () => graphql('mutation { createTodo(input: { title: "t" }) { ... on Todo { id } } }'),
    'REST: PATCH a todo': (id) => ({ method: 'PATCH', path: `/api/todos/${id}`, body: '{"completed":true}' }),
  };
  const rows = [];
  for (const [name, callOf] of Object.entries(calls)) {
    rows.push(await requestsPerSecond(name, url, pid, ids.map(callOf)));
  }
  return rows;
}

async function measureSockets(url, pid) {
  const open = [];
  const openMore = async () => open.push(...(await Promise.all(Array.from({ length: 100 }, () => subscribe(url)))));
  // The first ones make the server grow for good.
  await openMore();
  const before = residentMiB(pid);
  while (open.length < sockets + 100) {
    await openMore();
  }
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const each = Math.round(((residentMiB(pid) - before) * 1024) / sockets);
  for (const socket of open) {
    socket.terminate();
  }
  return [{ name: `${sockets} subscribed sockets`, 'KiB each': each }];
}

await inFolder(async (folder) => {
  const env = { DATABASE_URL: process.env.DATABASE_URL ?? `file:${join(folder, 'bench.db')}` };
  report([...(await withServer(env, measureCalls)), ...(await withServer(env, measureSockets))]);
  agent.destroy();
});
