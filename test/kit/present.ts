import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, inject, it } from 'vitest';
import { answers, POSTGRES_SERVER } from './postgres.ts';

/** What tests can use beside Node, by its name; the value says where it was found, or null. */
export interface Present {
  /** The browser's executable. */
  readonly chromium: string | null;
  readonly curl: string | null;
  /** The shell of SQLite. */
  readonly sqlite3: string | null;
  /** A proxy to stand in front of the server. */
  readonly nginx: string | null;
  readonly haproxy: string | null;
  readonly caddy: string | null;
  /** Makes certificates. */
  readonly openssl: string | null;
  /** Checks the units of systemd. */
  readonly systemdAnalyze: string | null;
  /** The server of Prometheus, beside which `promtool` is. */
  readonly prometheus: string | null;
  /** A pooler of connections to PostgreSQL, with a PostgreSQL behind it. */
  readonly pgbouncer: string | null;
  /** Python 3 with its package `requests`. */
  readonly python: string | null;
  /** The URL of a RabbitMQ that takes connections. */
  readonly rabbitmq: string | null;
  /** Python 3 with its package `pika`. */
  readonly pika: string | null;
  /** The URL of a PostgreSQL on which databases can be made. */
  readonly postgres: string | null;
  /** The program that dumps its databases; beside it are `pg_restore` and `createdb`. */
  readonly pgDump: string | null;
}

declare module 'vitest' {
  interface ProvidedContext {
    present: Present;
  }
}

/** Where Debian puts servers, which is on the PATH of administrators only. */
const SBIN = '/usr/sbin';

/** A program that ends well when something listens at the host and port of its arguments. */
const CONNECT = `require('node:net').connect(process.argv[2], process.argv[1]).once('connect', () => process.exit(0))`;

const LOOK: { readonly [Name in keyof Present]: () => string | null | Promise<string | null> } = {
  chromium: () => onPath('chromium') ?? onPath('chromium-browser') ?? onPath('google-chrome'),
  curl: () => onPath('curl'),
  sqlite3: () => onPath('sqlite3'),
  nginx: () => onPath('nginx') ?? ofRoot('nginx'),
  haproxy: () => onPath('haproxy') ?? ofRoot('haproxy'),
  caddy: () => onPath('caddy'),
  openssl: () => onPath('openssl'),
  systemdAnalyze: () => onPath('systemd-analyze'),
  prometheus: () => onPath('prometheus'),
  pgbouncer: async () => {
    const program = onPath('pgbouncer') ?? ofRoot('pgbouncer');
    return (await answers(POSTGRES_SERVER)) ? program : null;
  },
  python: () => pythonWith('requests'),
  rabbitmq: () => {
    const url = process.env['TIDINGS_TEST_AMQP_URL'] ?? 'amqp://guest:guest@127.0.0.1:5672';
    const { hostname, port } = new URL(url);
    return runs(process.execPath, '-e', CONNECT, hostname, port || '5672') ? url : null;
  },
  pika: () => pythonWith('pika'),
  postgres: async () => ((await answers(POSTGRES_SERVER)) ? POSTGRES_SERVER : null),
  pgDump: () => onPath('pg_dump'),
};

/** Looks for everything once, and says in one line each what is missing and what that leaves out. */
export async function lookAround(): Promise<Present> {
  const found = Object.entries(LOOK).map(async ([name, look]) => [name, await look()] as const);
  const present = Object.fromEntries(await Promise.all(found)) as unknown as Present;
  for (const [name, found] of Object.entries(present)) {
    if (found === null) {
      process.stdout.write(`Tests that need ${name} are skipped: it was not found.\n`);
    }
  }
  return present;
}

/**
 * Tests that need something beside Node. They run where it is found and are skipped otherwise; with `TIDINGS_TEST_REQUIRE_ALL=1`
 * its absence is a failure.
 */
export function describeWith(need: keyof Present, name: string, define: (found: string) => void): void {
  const found = inject('present')[need];
  if (found !== null) {
    describe(name, () => define(found));
  } else if (process.env['TIDINGS_TEST_REQUIRE_ALL'] === '1') {
    describe(name, () => {
      it(`needs ${need}`, () => {
        throw new Error(`${need} was not found, and nothing may be skipped.`);
      });
    });
  } else {
    describe.skip(name, () => define(''));
  }
}

function ofRoot(command: string): string | null {
  const path = `${SBIN}/${command}`;
  return existsSync(path) ? path : null;
}

function onPath(command: string): string | null {
  const folders = (process.env['PATH'] ?? '').split(':');
  return folders.map((folder) => `${folder}/${command}`).find((path) => existsSync(path)) ?? null;
}

function pythonWith(module: string): string | null {
  const paths = ['/usr/bin/python3', onPath('python3')];
  return paths.find((path) => path !== null && runs(path, '-c', `import ${module}`)) ?? null;
}

function runs(command: string, ...args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
