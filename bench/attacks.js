// Random attacks mixed with normal load against one server: nobody gets a row that they may not see, nothing fails, and memory stays flat.
//   taskset -c 1 node bench/attacks.js [seconds=300] [seed]
// Exits with 1 when somebody received or changed what they may not, and when an answer was an unexpected failure or the server crashed. What is chosen follows
// the seed; in which order the server gets it does not.
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from './attacks/client.js';
import { CONNECTIONS } from './attacks/connections.js';
import { HOSTILE } from './attacks/hostile.js';
import { INTRUDERS } from './attacks/intruders.js';
import { act, subscribe } from './attacks/load.js';
import { Oracle } from './attacks/oracle.js';
import { Random } from './attacks/random.js';
import { World } from './attacks/world.js';
import { DATABASE_NAME, environmentOf, newDatabase, removeDatabases } from './databases.js';
import { inFolder, residentMiB, startServer } from './server.js';

const [seconds = 300, seed = Math.floor(Math.random() * 1e6)] = process.argv.slice(2).map(Number);
const CLIENTS = 6;
const ATTACKERS = 12;
const MAX_PAUSE_MS = 25;
const RIGHTS_PAUSE_MS = 250;
const PROBE_INTERVAL_MS = 1000;
const PROBE_TIMEOUT_MS = 10_000;
const MINUTE_MS = 60_000;
/** At the end of a minute all stops for so long before memory is measured, so that only what stays is counted. */
const REST_MS = 5000;
const SHOWN = 10;
/** A line of the log with the level of an error, or of a process that ends. */
const LOGGED_FAILURE = /"level":"(?:error|fatal)"/;
const ATTACKS = [...INTRUDERS, ...HOSTILE, ...CONNECTIONS];

const environment = {
  MAX_EVENT_LOOP_DELAY_MS: '2000',
  POSTS_WRITABLE: 'true',
  // Attackers come from addresses of their own, so that the limits of an address refuse them and not the normal load.
  TRUST_PROXY: '1',
  // Short enough for slow connections to reach them in a run.
  HEADERS_TIMEOUT_MS: '4000',
  SOCKET_INIT_TIMEOUT_MS: '2000',
  IDLE_TIMEOUT_MS: '10000',
};

const write = (text) => process.stdout.write(`${text}\n`);

/** The workers of a run, which can be made to rest. */
class Run {
  #until = Number.POSITIVE_INFINITY;
  #rest = Promise.resolve();
  latencies = [];
  resident = [];
  unhealthy = [];
  /** How the process ended before the run did; null while it lives. */
  crash = null;

  constructor(server, client, world) {
    Object.assign(this, { server, client, world });
  }

  isOver = () => performance.now() >= this.#until || this.crash !== null;

  async #work(index, maxPauseMs, step) {
    const random = new Random(seed * 1000 + index);
    while (!this.isOver()) {
      await this.#rest;
      await step(random);
      await pause(random.between(0, maxPauseMs));
    }
  }

  async #clientStep(random) {
    const answer = await act(this.world, random);
    if (answer?.tookMs !== undefined) {
      this.latencies.push(answer.tookMs);
    }
  }

  /** Asks once a second whether the server is alive and ready. */
  async #probe() {
    while (!this.isOver()) {
      for (const path of ['/health', '/ready']) {
        const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
        const status = await fetch(this.client.url + path, { signal }).then(
          (answer) => answer.status,
          (error) => error.name,
        );
        if (status !== 200) {
          this.unhealthy.push(`${path}: ${status}`);
        }
      }
      await pause(PROBE_INTERVAL_MS);
    }
  }

  async #measureMemory() {
    while (!this.isOver()) {
      await pause(Math.min(MINUTE_MS, Math.max(0, this.#until - performance.now())) - REST_MS, undefined, {
        ref: false,
      });
      this.#rest = pause(REST_MS);
      await this.#rest;
      if (this.crash === null) {
        this.resident.push(residentMiB(this.server.pid));
      }
    }
  }

  async start() {
    this.#until = performance.now() + seconds * 1000;
    this.server.ended.then((code) => {
      this.crash = this.isOver() ? null : `ended with ${code}`;
    });
    const each = (count, maxPauseMs, step, first) =>
      Array.from({ length: count }, (_, index) => this.#work(first + index, maxPauseMs, step));
    const subscribers = this.world.users.map(({ index }) =>
      subscribe(this.world, new Random(seed * 1000 + 500 + index), index, this.isOver),
    );
    await Promise.all([
      ...each(CLIENTS, MAX_PAUSE_MS, (random) => this.#clientStep(random), 0),
      ...each(ATTACKERS, MAX_PAUSE_MS, (random) => random.weighted(ATTACKS)(this.world, random), 100),
      ...each(1, RIGHTS_PAUSE_MS, () => this.world.changeRights(), 200),
      this.#probe(),
      this.#measureMemory(),
    ]);
    this.client.close();
    await Promise.all(subscribers);
  }

  p99() {
    const sorted = this.latencies.sort((left, right) => left - right);
    return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
  }
}

function list(title, entries) {
  write(`${title}: ${entries.length}`);
  for (const entry of entries.slice(0, SHOWN)) {
    write(`  ${entry}`);
  }
}

function show({ requests, answers }) {
  const total = requests.reduce((sum, [, count]) => sum + count, 0);
  write(`Requests and connections: ${total.toLocaleString('en')}`);
  write(`  ${requests.map(([kind, count]) => `${kind} ${count.toLocaleString('en')}`).join(', ')}`);
  write(
    `Answers and events\n  ${answers.map(([answer, count]) => `${answer} ${count.toLocaleString('en')}`).join(', ')}`,
  );
}

async function attack(database) {
  const output = [];
  const server = await startServer({ ...environmentOf(database), ...environment }, undefined, (text) =>
    output.push(text),
  );
  const oracle = new Oracle();
  const client = new Client(server.url, oracle);
  const run = new Run(server, client, new World(client, oracle, database, new Random(seed)));
  let isUnharmed = false;
  try {
    await run.world.fill();
    await run.start();
    isUnharmed = run.crash === null && (await run.world.isKeeperUnharmed());
  } finally {
    oracle.close();
    client.close();
    await server.stop('SIGKILL');
  }
  if (!isUnharmed && run.crash === null) {
    oracle.breach('The rows of the user with whom nobody has anything to do are not as they were.');
  }
  write(`Node ${process.version}, ${DATABASE_NAME}, ${seconds} s, seed ${seed}`);
  show(client.counts());
  write(`p99 of the normal load: ${run.p99().toFixed(0)} ms of ${run.latencies.length.toLocaleString('en')} requests`);
  write(
    `Resident memory at the end of each minute: ${run.resident.map((size) => `${size.toFixed(0)} MiB`).join(', ')}`,
  );
  write(`Marks that were checked: ${oracle.marksSeen.toLocaleString('en')}`);
  list('Unauthorised rows and changes', oracle.breaches);
  list(`Unexpected failures (${client.defectCount} in all)`, client.defects);
  list('Probes that failed', run.unhealthy);
  list('Lines that the server printed', output);
  write(`Crashes: ${run.crash === null ? 0 : `1, ${run.crash}`}`);
  const logged = output.filter((text) => LOGGED_FAILURE.test(text)).length;
  const failures = oracle.breaches.length + client.defectCount + run.unhealthy.length + logged;
  return failures === 0 && run.crash === null;
}

const isSound = await inFolder(async (folder) => {
  try {
    return await attack(await newDatabase(folder, 'attacks'));
  } finally {
    await removeDatabases();
  }
});
process.exitCode = isSound ? 0 : 1;
