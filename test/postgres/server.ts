import { execFile } from 'node:child_process';
import { chownSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
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

/** The certificate of a server that accepts encrypted connections only. */
export interface ServerCertificate {
  readonly certificate: string;
  readonly key: string;
  /** Who signs the certificates by which clients are authenticated; the user `certified` needs one. */
  readonly authority: string;
}

/** Makes a server in a folder of its own. PostgreSQL does not run as root, so then it runs as the user that its package made. */
export async function startOwnServer(tls?: ServerCertificate): Promise<OwnServer> {
  const [version = ''] = readdirSync(VERSIONS).sort((left, right) => Number(right) - Number(left));
  const folder = mkdtempSync(join(tmpdir(), 'tidings-postgres-'));
  const isRoot = process.getuid?.() === 0;
  const owner = isRoot ? Number((await run('id', ['-u', USER])).stdout) : -1;
  const give = (path: string): void => (isRoot ? chownSync(path, owner, -1) : undefined);
  give(folder);
  const call = async (program: string, ...args: readonly string[]): Promise<void> => {
    const command = [join(VERSIONS, version, 'bin', program), ...args];
    const [file = '', ...rest] = isRoot ? ['runuser', '-u', USER, '--', ...command] : command;
    await run(file, rest, { cwd: folder });
  };
  const data = join(folder, 'data');
  const port = await freePort();
  await call('initdb', '--pgdata', data, '--username', USER, '--auth', 'trust', '--encoding', 'UTF8', '--no-sync');
  if (tls) {
    const files = { 'server.crt': tls.certificate, 'server.key': tls.key, 'root.crt': tls.authority };
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(data, name), text, { mode: 0o600 });
      give(join(data, name));
    }
    writeFileSync(join(data, 'pg_hba.conf'), 'hostssl all certified all cert\nhostssl all all 127.0.0.1/32 trust\n');
  }
  const options = `${tls ? '-c ssl=on -c ssl_ca_file=root.crt' : ''} -p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${folder} -c fsync=off`;
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
