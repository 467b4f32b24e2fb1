// What sign-ins cost the others: the rate and the latency of requests while 32 connections sign in without pause, against the same requests in calm.
//   taskset -c 1 node bench/sign-ins.js [seconds]
// With BENCH_POSTGRES_URL=postgres://… over a database that it makes there and removes.
import { setTimeout as sleep } from 'node:timers/promises';
import { ask, inFolder, report, startServer } from './server.js';
import {
  CONNECTIONS,
  casesOfTidings,
  DATABASE_NAME,
  environmentOf,
  fill,
  graphql,
  measure,
  median,
  newDatabase,
  removeDatabases,
} from './workload.js';

const [seconds = 3] = process.argv.slice(2).map(Number);
const ROWS = 10_000;
const ROUNDS = 3;
/** How many users have a password; more than the connections, so that no user signs in twice at the same moment. */
const USERS = CONNECTIONS + 4;
/** How long sign-ins run before anything is measured, in milliseconds. */
const WARM_UP_MS = 500;
const PASSWORD = 'a good long password';
const CASES = ['{ __typename }, signed in', 'by id'];
const SIGN_UP = 'mutation ($input: SignUpInput!) { signUp(input: $input) { __typename } }';
const SIGN_IN = 'mutation ($input: LoginInput!) { obtainToken(input: $input) { __typename } }';
/** Signs up users, one after the other: many at once would be refused. Returns what each of them signs in with. */
async function makeUsers(url) {
  const logins = Array.from({ length: USERS }, (_, index) => ({ username: `signer${index}`, password: PASSWORD }));
  for (const input of logins) {
    const { signUp } = await ask(url, SIGN_UP, { input });
    if (signUp.__typename !== 'User') {
      throw new Error(`The sign-up of ${input.username} gave ${signUp.__typename}.`);
    }
  }
  return logins;
}

/** Signs in over as many connections as the load has, without pause; returns what ends it and gives the counts per second. */
function signInWithoutPause(url, logins) {
  const counts = { done: 0, refused: 0 };
  const begun = performance.now();
  let isOver = false;
  const loop = async (first) => {
    for (let turn = first; !isOver; turn = (turn + CONNECTIONS) % USERS) {
      const { path, headers, ...options } = graphql(SIGN_IN, { input: logins[turn] });
      // In this media type a refusal has the status 429.
      const accept = 'application/graphql-response+json';
      const response = await fetch(url + path, { ...options, headers: { ...headers, accept } });
      const text = await response.text();
      if (response.status === 429) {
        counts.refused += 1;
      } else if (response.status === 200 && text.includes('"TokenPair"')) {
        counts.done += 1;
      } else {
        throw new Error(`A sign-in was answered ${response.status}: ${text}`);
      }
    }
  };
  const loops = Promise.all(Array.from({ length: CONNECTIONS }, (_, first) => loop(first)));
  // A failure is thrown when the load ends.
  loops.catch(() => undefined);
  return async () => {
    const passed = (performance.now() - begun) / 1000;
    const { done, refused } = counts;
    isOver = true;
    await loops;
    return { done: done / passed, refused: refused / passed };
  };
}

/** Measures the same requests in calm and under sign-ins, in turns, so that what else the machine does falls on both. */
async function compare(server, requests, logins) {
  const calm = [];
  const under = [];
  const signIns = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    calm.push(await measure(server, requests, seconds));
    const stop = signInWithoutPause(server.url, logins);
    await sleep(WARM_UP_MS);
    under.push(await measure(server, requests, seconds));
    signIns.push(await stop());
  }
  const middle = (measured, field) => median(measured.map((each) => each[field]));
  const rates = [middle(calm, 'rate'), middle(under, 'rate')];
  const p99s = [middle(calm, 'p99'), middle(under, 'p99')];
  return {
    'calm/s': Math.round(rates[0]),
    'under sign-ins/s': Math.round(rates[1]),
    'ratio (>= 0.5)': (rates[1] / rates[0]).toFixed(2),
    'p99 calm ms': p99s[0],
    'p99 under ms': p99s[1],
    'ratio (<= 5)': (p99s[1] / p99s[0]).toFixed(1),
    'sign-ins/s': middle(signIns, 'done').toFixed(1),
    'refused/s': middle(signIns, 'refused').toFixed(1),
  };
}

await inFolder(async (folder) => {
  const table = [];
  let server;
  try {
    const database = await newDatabase(folder, 'signins');
    const cases = casesOfTidings(await fill(database, ROWS));
    server = await startServer(environmentOf(database));
    const logins = await makeUsers(server.url);
    for (const name of CASES) {
      table.push({ case: name, ...(await compare(server, cases[name], logins)) });
    }
  } finally {
    await server?.stop('SIGKILL');
    await removeDatabases();
  }
  process.stdout.write(`${CONNECTIONS} connections that sign in, over ${DATABASE_NAME}\n`);
  report(table);
});
