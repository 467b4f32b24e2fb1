import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const START_DEADLINE_MS = 30_000;
const PROGRAM = new URL('../../bin/tidings', import.meta.url);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

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
  return /exec node ((?:--\S+ )+)/.exec(readFileSync(PROGRAM, 'utf8'))?.[1]?.trim().split(' ') ?? [];
}

/** Starts the program, or another build of it: the file that `TIDINGS_TEST_MAIN` names. */
function launch(
  args: readonly string[],
  { TIDINGS_TEST_MAIN: main = MAIN, ...env }: Readonly<Record<string, string>>,
  input?: string,
): Running {
  return run(process.execPath, [...startFlags(), main, ...args], env, input);
}

/** `signalAtExit` ends the child when this process exits before it. */
function run(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  input = '',
  signalAtExit: NodeJS.Signals = 'SIGKILL',
): Running {
  const child = spawn(command, args, {
    cwd: ROOT,
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
  child.stdin.end(input);
  // A test that fails, or a run that is interrupted, leaves no server behind.
  const kill = (): void => {
    child.kill(signalAtExit);
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

const SETTINGS = {
  PORT: '0',
  HOST: '127.0.0.1',
  LOG_LEVEL: 'error',
  // Other tests may keep the machine busy.
  MAX_EVENT_LOOP_DELAY_MS: '0',
  // Tests write and make accounts from one address, as often as they like.
  MAX_ANONYMOUS_WRITES: '100000000',
  MAX_SIGN_UPS: '100000000',
};

/** Starts the real program in a process of its own, on a free port, and waits until it listens. */
export function startProcess(env: Record<string, string>): Promise<ServerProcess> {
  return started(launch(['serve'], { ...SETTINGS, ...env }));
}

/** The same by `npm start`, without its build: `pid` is the one of npm. */
export function startByNpm(env: Record<string, string>): Promise<ServerProcess> {
  // npm cannot pass on SIGKILL.
  return started(run('npm', ['start', '--ignore-scripts'], { ...SETTINGS, ...env }, '', 'SIGTERM'));
}

async function started({ child, output, finished }: Running): Promise<ServerProcess> {
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
