// What happens to requests at three times the load that one process sustains, with and without the guard that refuses some at once.
//   taskset -c 1 node bench/overload.js [seconds]
import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { inFolder, report, startServer } from './server.js';
import { environmentOf, fill, graphql, measure, newDatabase } from './workload.js';

const [seconds = 5] = process.argv.slice(2).map(Number);
const ROWS = 1_000;
const TIMES = 3;
/** Dear enough for the server that what sends it has time left: or its own delay would be measured. */
const QUERY = '{ posts(first: 100) { nodes { id title createdAt author { id username firstName } } } }';
/** How often requests are sent, in milliseconds. */
const TICK_MS = 10;
/** Each delay of the event loop that is allowed; with 0 nothing is refused. */
const DELAYS_MS = [0, 250, 2000];
/** More than this many requests wait for an answer only where the server has given up. */
const MAX_WAITING = 20_000;

/** Sends requests at a rate, whether or not the ones before were answered; returns how long each answer took, by its status. */
async function sendAt(url, requests, rate) {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  const times = { 200: [], 503: [], other: [] };
  let waiting = 0;
  const send = ({ path, body, ...options }) => {
    const sentAt = performance.now();
    waiting += 1;
    const end = (status) => {
      waiting -= 1;
      (times[status] ?? times.other).push(performance.now() - sentAt);
    };
    request(url + path, { ...options, agent }, (response) =>
      response.resume().once('close', () => end(response.statusCode)),
    )
      .once('error', () => end('other'))
      .end(body);
  };
  const begun = performance.now();
  let sent = 0;
  while (performance.now() - begun < seconds * 1000) {
    for (const due = ((performance.now() - begun) * rate) / 1000; sent < due && waiting < MAX_WAITING; sent += 1) {
      send(requests[sent % requests.length]);
    }
    await pause(TICK_MS);
  }
  const until = performance.now() + 10_000;
  while (waiting > 0 && performance.now() < until) {
    await pause(TICK_MS);
  }
  agent.destroy();
  return { sent, times };
}

function quantile(values, part) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * part)] ?? Number.NaN;
}

await inFolder(async (folder) => {
  const database = await newDatabase(folder, 'overload');
  const { people } = await fill(database, ROWS);
  const requests = people.map((person) => graphql(QUERY, undefined, person));
  const rows = [];
  let sustained = null;
  for (const delay of DELAYS_MS) {
    const server = await startServer({ ...environmentOf(database), MAX_EVENT_LOOP_DELAY_MS: String(delay) });
    try {
      // By the first one, which refuses nothing.
      sustained ??= await measure(server, requests, seconds);
      const { rate, p99 } = sustained;
      const { sent, times } = await sendAt(server.url, requests, TIMES * rate);
      const perSecond = (answers) => Math.round(answers.length / seconds);
      rows.push({
        MAX_EVENT_LOOP_DELAY_MS: delay,
        'sustained/s': Math.round(rate),
        'p99 ms': p99,
        'sent/s': Math.round(sent / seconds),
        'admitted/s': perSecond(times[200]),
        'p50 of these ms': Math.round(quantile(times[200], 0.5)),
        'p99 of these ms': Math.round(quantile(times[200], 0.99)),
        'refused/s': perSecond(times[503]),
        'p99 of refusals ms': Math.round(quantile(times[503], 0.99)),
        'no answer': times.other.length,
      });
    } finally {
      await server.stop('SIGKILL');
    }
  }
  process.stdout.write(`Pages of 100, ${TIMES} times what one process sustains, for ${seconds} s\n`);
  report(rows);
});
