// What the benchmarks share: a server in a process of its own, and what it costs.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** The flags of Node with which `npm start` runs the server; the peers get them, too. */
const startFlags = /exec node ((?:--\S+ )+)/
  .exec(readFileSync(join(root, 'bin/tidings'), 'utf8'))[1]
  .trim()
  .split(' ');

/** More flags of Node for the servers, to profile them: `BENCH_FLAGS=--cpu-prof`. */
const extraFlags = process.env.BENCH_FLAGS?.split(' ') ?? [];

/** Whether servers can be pinned to the first core, so that what drives them does not take theirs. */
const canPin = spawnSync('taskset', ['-c', '0', 'true']).status === 0;

/** Does something in a folder of its own, which is removed afterwards. */
export async function inFolder(work) {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-bench-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Starts a server and waits for the address that it prints; `onOutput` gets all else that it prints. */
export async function startServer(env, script = 'dist/main.js', onOutput = (text) => process.stderr.write(text)) {
  const [command, ...pin] = canPin ? ['taskset', '-c', '0', process.execPath] : [process.execPath];
  const child = spawn(command, [...pin, ...startFlags, ...extraFlags, join(root, script)], {
    env: {
      ...process.env,
      NODE_ENV: 'production',
      PORT: '0',
      HOST: '127.0.0.1',
      LOG_LEVEL: 'error',
      // What is measured is the cost of requests, on machines of any speed; `overload.js` sets its own limit.
      MAX_EVENT_LOOP_DELAY_MS: '0',
      // All clients come from one address.
      ADDRESS_MAX_SOCKETS: '1000000',
      ADDRESS_MAX_SUBSCRIPTIONS: '1000000',
      MAX_SOCKETS: '1000000',
      MAX_SUBSCRIPTIONS: '1000000',
      MAX_ANONYMOUS_WRITES: '100000000',
      MAX_SIGN_UPS: '100000000',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
  child.stderr.on('data', (chunk) => onOutput(String(chunk)));
  const url = await new Promise((resolve, reject) => {
    ended.then(() => reject(new Error(`${script} ended before it listened.`)));
    child.stdout.on('data', (chunk) => {
      const found = /(http:\/\/127\.0\.0\.1:\d+)/.exec(String(chunk))?.[1];
      if (found) {
        resolve(found);
      } else {
        onOutput(String(chunk));
      }
    });
  });
  return {
    url,
    pid: child.pid,
    /** Resolves with the exit code, or the signal, once the process has ended. */
    ended,
    stop: async (signal) => {
      child.kill(signal);
      await ended;
    },
  };
}

/** Starts a server, and stops it when the work with it is done. */
export async function withServer(env, work, script = 'dist/main.js') {
  const server = await startServer(env, script);
  try {
    return await work(server.url, server.pid);
  } finally {
    await server.stop(extraFlags.length > 0 ? 'SIGTERM' : 'SIGKILL');
  }
}

/** Sends one operation and gives its data. */
export async function ask(url, query, variables, authorization) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(authorization && { authorization }) },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) {
    throw new Error(JSON.stringify(errors));
  }
  return data;
}

/** The processor time that a process has taken so far, in seconds. */
export function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The resident memory of a process, in MiB. */
export function residentMiB(pid) {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
}

export function report(rows) {
  process.stdout.write(`Node ${process.version}\n`);
  // biome-ignore lint/suspicious/noConsole: the report is what a benchmark is for.
  console.table(rows);
}
