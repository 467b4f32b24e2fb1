import { execFile } from 'node:child_process';
import { chownSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../kit/process.ts';

const run = promisify(execFile);
const VERSIONS = '/usr/lib/postgresql';
const USER = 'postgres';

/** A PostgreSQL server of the test's own, which it may stop and start. */
export interface OwnServer {
  /** Names its database `postgres`. */
  readonly url: string;
  /** Stops it, as it does for an operator (`fast`) or as it does when the power goes (`immediate`), and starts it again. */
  readonly restart: (mode: 'fast' | 'immediate') => Promise<void>;
  readonly remove: () => Promise<void>;
}

/** Makes a server in a folder of its own. PostgreSQL does not run as root, so then it runs as the user that its package made. */
export async function startOwnServer(): Promise<OwnServer> {
  const [version = ''] = readdirSync(VERSIONS).sort((left, right) => Number(right) - Number(left));
  const folder = mkdtempSync(join(tmpdir(), 'tidings-postgres-'));
  const isRoot = process.getuid?.() === 0;
  if (isRoot) {
    const { stdout } = await run('id', ['-u', USER]);
    chownSync(folder, Number(stdout), -1);
  }
  const call = async (program: string, ...args: readonly string[]): Promise<void> => {
    const command = [join(VERSIONS, version, 'bin', program), ...args];
    const [file = '', ...rest] = isRoot ? ['runuser', '-u', USER, '--', ...command] : command;
    await run(file, rest, { cwd: folder });
  };
  const data = join(folder, 'data');
  const port = await freePort();
  await call('initdb', '--pgdata', data, '--username', USER, '--auth', 'trust', '--encoding', 'UTF8', '--no-sync');
  const options = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${folder} -c fsync=off`;
  const start = (): Promise<void> =>
    call('pg_ctl', 'start', '--pgdata', data, '--wait', '--log', join(folder, 'log'), '--options', options);
  const stop = (mode: string): Promise<void> => call('pg_ctl', 'stop', '--pgdata', data, '--wait', '--mode', mode);
  await start();
  return {
    url: `postgres://${USER}@127.0.0.1:${port}/postgres`,
    restart: async (mode) => {
      await stop(mode);
      await start();
    },
    remove: async () => {
      await stop('immediate');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
