import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const START_DEADLINE_MS = 30_000;
const RETRY_MS = 50;
const PACKAGE = new URL('../../package.json', import.meta.url);

export interface Finished {
  readonly code: number | null;
  readonly output: string;
}

export interface ServerProcess {
  readonly url: string;
  /** Where its metrics are; empty without `METRICS_PORT`. */
  readonly metricsUrl: string;
  readonly pid: number;
  /** What it has written so far, to both outputs. */
  readonly output: () => string;
  /** Sends a signal and waits for the end; `SIGKILL` is what a crash is. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<Finished>;
}

interface Running {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly finished: Promise<Finished>;
}

/** The flags of Node with which `npm start` runs the server. */
function startFlags(): string[] {
  return JSON.parse(readFileSync(PACKAGE, 'utf8')).scripts.start.split(' ').slice(1, -1);
}

/** Starts the program, or another build of it: the file that `TIDINGS_TEST_MAIN` names. */
function launch(
  args: readonly string[],
  { TIDINGS_TEST_MAIN: main = MAIN, ...env }: Readonly<Record<string, string>>,
  input?: string,
): Running {
  const child = spawn(process.execPath, [...startFlags(), main, ...args], {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: 'pipe',
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  child.stdin.end(input ?? '');
  // A test that fails, or a run that is interrupted, leaves no server behind.
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', kill);
  const finished = once(child, 'close').then(([code]) => {
    process.off('exit', kill);
    return { code: code as number | null, output };
  });
  return { child, output: () => output, finished };
}

/** Runs a command of the real program to its end: `npm test` has built it. */
export function runCommand(args: readonly string[], env: Record<string, string>, input?: string): Promise<Finished> {
  return launch(args, env, input).finished;
}

export interface RunningCommand {
  /** What it has written so far, to both outputs. */
  readonly output: () => string;
  readonly finished: Promise<Finished>;
  readonly kill: (signal: NodeJS.Signals) => void;
}

/** Starts a command of the real program, so that a test can interrupt it. */
export function startCommand(args: readonly string[], env: Record<string, string>): RunningCommand {
  const { child, output, finished } = launch(args, env);
  return { output, finished, kill: (signal) => child.kill(signal) };
}

/** Starts the real program in a process of its own, on a free port, and waits until it listens. */
export async function startProcess(env: Record<string, string>): Promise<ServerProcess> {
  const { child, output, finished } = launch(['serve'], {
    PORT: '0',
    HOST: '127.0.0.1',
    LOG_LEVEL: 'error',
    // Other tests may keep the machine busy.
    MAX_EVENT_LOOP_DELAY_MS: '0',
    // Tests write and make accounts from one address, as often as they like.
    MAX_ANONYMOUS_WRITES: '100000000',
    MAX_SIGN_UPS: '100000000',
    ...env,
  });
  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`It does not listen: ${output()}`));
    }, START_DEADLINE_MS);
    const look = (): void => {
      const found = /listens on (http:\S+?);/.exec(output())?.[1];
      if (found) {
        clearTimeout(timer);
        resolve(found);
      }
    };
    child.stdout?.on('data', look);
    child.once('exit', () => {
      clearTimeout(timer);
      reject(new Error(`It ended before it listened: ${output()}`));
    });
  });
  return {
    url,
    metricsUrl: /Metrics are at (http:[^"\s]+)/.exec(output())?.[1] ?? '',
    pid: child.pid ?? 0,
    output,
    stop: (signal = 'SIGTERM') => {
      child.kill(signal);
      return finished;
    },
  };
}

/** A port on which nothing listens. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

export interface RunningProxy {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/** Starts nginx in front of a server, as docs/proxy.md configures it. */
export async function startNginx(program: string, upstream: string): Promise<RunningProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-nginx-'));
  const port = await freePort();
  writeFileSync(join(folder, 'nginx.conf'), configuration(folder, port, new URL(upstream).host));
  const child = spawn(program, ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr'], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  const deadline = Date.now() + START_DEADLINE_MS;
  while (!(await accepts(port))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      throw new Error('nginx does not listen.');
    }
    await pause(RETRY_MS);
  }
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  return { url: `http://127.0.0.1:${port}`, stop };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

const configuration = (folder: string, port: number, upstream: string): string => `
daemon off;
master_process off;
pid ${folder}/pid;
error_log /dev/null;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://${upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }
  }
}
`;
