// Mixed load on a cluster in which one part after the other fails: no acknowledged write is lost, no event is lost or delivered to the wrong one, every error is
// a documented one, and memory stays flat. It brings PostgreSQL, nginx and two nodes of its own along.
//   node bench/soak.js [--seconds 600] [--seed n] [--nginx /usr/sbin/nginx]
// Exits with 1 when an oracle has found something. Which faults there are follows the seed; when they meet the load does not.
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Random } from './attacks/random.js';
import { Caller, OperationSocket } from './soak/caller.js';
import { Cluster } from './soak/cluster.js';
import { Faults } from './soak/faults.js';
import { Journal } from './soak/journal.js';
import { changeMembers, signUp, Worker } from './soak/load.js';
import { consult, judgeMemory } from './soak/oracle.js';
import { follow, Stream } from './soak/streams.js';

const USERS = 6;
const CHATS = 3;
const SAMPLE_MS = 1000;
/** How long requests may still be repeated after the run is over. */
const GRACE_MS = 30_000;
const SHOWN = 10;
const EXCERPT = 200;
const ORACLES = {
  writes: 'acknowledged writes lost, or done twice',
  events: 'events lost, out of order or wrong',
  unauthorised: 'unauthorised deliveries',
  errors: 'undocumented or unexplained errors',
  availability: 'parts that did not recover',
  crashes: 'processes that ended by themselves',
  memory: 'processes whose memory grew',
};

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e6)) },
    nginx: { type: 'string', default: '/usr/sbin/nginx' },
  },
});
const seconds = Number(values.seconds);
const seed = Number(values.seed);
if (!(seconds > 0 && Number.isInteger(seed) && existsSync(values.nginx))) {
  throw new Error(`--seconds and --seed are numbers, and --nginx is the program: ${JSON.stringify(values)}`);
}

const write = (text) => process.stdout.write(`${text}\n`);
const percent = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];

/** The people of a run, and their chats: user 0 owns the first chat, and so on; one user in each has no part in it. */
async function populate({ cluster, journal, run }) {
  const caller = (index) => new Caller({ url: cluster.url, journal, run, index, name: `soak-${'abcdefgh'[index]}x` });
  const callers = Array.from({ length: USERS }, (_, index) => caller(index));
  const prober = caller(USERS);
  for (const each of [...callers, prober]) {
    await signUp(each);
    each.id = Number((await each.graphql('{ viewer { id: databaseId } }')).viewer.id);
  }
  const chats = [];
  for (let index = 0; index < CHATS; index += 1) {
    const stranger = (index + 1) % USERS;
    const members = callers.map((each) => each.index).filter((member) => member !== stranger);
    const { createChatSession } = await callers[index].graphql('mutation { createChatSession { id: databaseId uri } }');
    const names = members.filter((member) => member !== index).map((member) => callers[member].name);
    await callers[index].graphql(
      'mutation ($uri: String!, $names: [String!]!) { addChatMembers(uri: $uri, usernames: $names) { __typename } }',
      { uri: createChatSession.uri, names },
    );
    journal.removed(stranger, index, Number.NEGATIVE_INFINITY);
    chats.push({ index, owner: index, members, uri: createChatSession.uri, id: Number(createChatSession.id) });
  }
  return { callers, prober, chats };
}

/** Subscribes everybody, half of them by WebSocket and half by event streams. */
async function subscribe({ callers, chats, cursor, isClosed }) {
  const streams = [];
  const followers = [];
  for (const caller of callers) {
    caller.socket = new OperationSocket(caller);
    await caller.socket.ready();
    const add = (isOverSocket, model, chat) => {
      const stream = new Stream({ caller, model, cursor, chat });
      streams.push(stream);
      if (isOverSocket) {
        caller.socket.add(stream);
      } else {
        followers.push(follow(stream, isClosed));
      }
    };
    add(true, 'Todo');
    add(false, 'Todo');
    add(caller.index % 2 === 0, 'Note');
    add(caller.index % 2 === 1, 'Post');
    for (const chat of chats.filter(({ members }) => members.includes(caller.index))) {
      add(true, 'ChatMessage', chat);
    }
  }
  return { streams, followers };
}

function sampleMemory(cluster, samples) {
  const since = performance.now();
  return setInterval(() => {
    for (const { name, pid, memory } of cluster.nodes) {
      if (memory !== null) {
        const key = `${name}, pid ${pid}`;
        samples.set(key, [...(samples.get(key) ?? []), { atS: (performance.now() - since) / 1000, memory }]);
      }
    }
  }, SAMPLE_MS);
}

function report({ journal, faults, streams, verdict, memory }) {
  write(`\n${journal.faults.length} faults; they have recovered when all nodes are ready and a write is acknowledged`);
  const recoveries = [...faults.recoveries].map(([fault, times]) => {
    const sorted = times.sort((left, right) => left - right);
    const failed = journal.faults.filter(({ name }) => name === fault).flatMap((each) => journal.failuresOf(each));
    return {
      fault,
      times: sorted.length,
      'recovered after, median ms': Math.round(percent(sorted, 0.5)),
      'max ms': Math.round(sorted.at(-1)),
      'failed requests and connections': new Set(failed).size,
    };
  });
  // biome-ignore lint/suspicious/noConsole: the report is what a benchmark is for.
  const table = console.table;
  table(recoveries);
  table(memory);
  const counts = Object.fromEntries([...journal.counts].sort());
  const events = streams.reduce((sum, stream) => sum + stream.events.length, 0);
  const duplicates = streams.reduce((sum, stream) => sum + stream.duplicates, 0);
  table({
    ...counts,
    subscriptions: streams.length,
    'changes in the log': verdict.changes,
    'events, each once': events,
    'events that came again': duplicates,
    'ms until the last event': Math.round(verdict.settledMs),
  });
  table(
    Object.fromEntries(Object.entries(ORACLES).map(([name, text]) => [text, journal.findings.get(name)?.length ?? 0])),
  );
  for (const [name, found] of journal.findings) {
    write(`${ORACLES[name]}:`);
    for (const text of found.slice(0, SHOWN)) {
      write(`  ${text}`);
    }
  }
}

async function soak(cluster, journal) {
  await cluster.start();
  if (!cluster.postgres.hasOwnDisk) {
    write('Without the right to mount a disk, no disk is filled.');
  }
  let overAt = Number.POSITIVE_INFINITY;
  const run = { isOver: () => performance.now() >= overAt, isAbandoned: () => performance.now() >= overAt + GRACE_MS };
  const { callers, prober, chats } = await populate({ cluster, journal, run });
  const { cursor } = await callers[0].graphql('{ cursor }');
  let isClosed = false;
  const { streams, followers } = await subscribe({ callers, chats, cursor, isClosed: () => isClosed });
  const samples = new Map();
  const sampling = sampleMemory(cluster, samples);
  const random = (number) => new Random(seed * 1000 + number);
  let number = 0;
  const next = () => {
    number += 1;
    return number;
  };
  const workers = callers.flatMap((caller, index) => [
    new Worker({ caller, chats, random: random(index), next, ask: (...sent) => caller.graphql(...sent) }),
    new Worker({ caller, chats, random: random(100 + index), next, ask: (...sent) => caller.overSocket(...sent) }),
  ]);
  const faults = new Faults({ cluster, journal, random: random(200), prober, seconds });
  const faulting = faults.work().finally(() => {
    overAt = performance.now();
  });
  const results = await Promise.allSettled([
    faulting,
    ...workers.map((worker) => worker.work()),
    changeMembers({ chats, callers, random: random(300), run, journal }),
  ]);
  clearInterval(sampling);
  for (const { reason } of results.filter(({ status }) => status === 'rejected')) {
    if (reason.message !== 'abandoned') {
      throw reason;
    }
  }
  const verdict = await consult({ journal, postgres: cluster.postgres, streams });
  const memory = judgeMemory(journal, samples);
  isClosed = true;
  for (const { socket } of callers) {
    socket.close();
  }
  await Promise.all(followers.map(({ close }) => close()));
  for (const caller of [...callers, prober]) {
    caller.close();
  }
  report({ journal, faults, streams, verdict, memory });
}

const journal = new Journal();
const output = [];
const cluster = new Cluster({
  nginx: values.nginx,
  onOutput: (node, text) => output.push(`${node.name}: ${text}`),
  onCrash: (node, code) => journal.find('crashes', `${node.name} ended with ${code}.`),
});
// Whoever reads the report may have gone; the cluster has to be stopped all the same.
process.stdout.on('error', () => undefined);
const abort = (error) => {
  write(String(error?.stack ?? error));
  cluster.stop().finally(() => process.exit(1));
};
for (const event of ['SIGINT', 'SIGTERM', 'uncaughtException', 'unhandledRejection']) {
  process.on(event, abort);
}
write(`Node ${process.version}, ${seconds} s, seed ${seed}`);
try {
  await soak(cluster, journal);
} finally {
  await cluster.stop();
}
const isSound = journal.findings.size === 0;
if (!isSound) {
  const kinds = new Map();
  for (const line of output.join('').split('\n').filter(Boolean)) {
    const kind = /"message":"(.*?[^\\])"/.exec(line)?.[1].slice(0, EXCERPT) ?? line.slice(0, EXCERPT);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  write('What the nodes have logged as errors:');
  for (const [kind, times] of kinds) {
    write(`  ${times} × ${kind}`);
  }
}
process.exitCode = isSound ? 0 : 1;
