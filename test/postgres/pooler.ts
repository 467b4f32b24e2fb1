import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { answers } from '../kit/postgres.ts';
import { freePort } from '../kit/process.ts';

const START_DEADLINE_MS = 10_000;
const RETRY_MS = 50;
/** The user of Debian's package; PgBouncer refuses to run as root. */
const USER = 'postgres';

export interface Pooler {
  /** The URL of the database through the pooler. */
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/** Starts PgBouncer in transaction mode in front of a database, with fewer connections to it than a node opens. */
export async function startPooler(program: string, database: string, extra = ''): Promise<Pooler> {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-pooler-'));
  const port = await freePort();
  const { hostname, port: serverPort, username, password, pathname } = new URL(database);
  const secret = password === '' ? '' : ` password=${decodeURIComponent(password)}`;
  const file = join(folder, 'pgbouncer.ini');
  writeFileSync(
    file,
    `[databases]
${pathname.slice(1)} = host=${hostname} port=${serverPort || 5432} user=${username}${secret}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
${extra}
`,
  );
  const isRoot = process.getuid?.() === 0;
  if (isRoot) {
    chmodSync(folder, 0o755);
    chmodSync(file, 0o644);
    chownSync(file, 0, 0);
  }
  const child = spawn(program, ['--quiet', ...(isRoot ? ['--user', USER] : []), file], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  const url = `postgres://tidings@127.0.0.1:${port}${pathname}`;
  const deadline = Date.now() + START_DEADLINE_MS;
  while (!(await answers(url))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error('PgBouncer does not answer.');
    }
    await pause(RETRY_MS);
  }
  return {
    url,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
