// A PostgreSQL server of the run's own, which it may crash, and whose disk it may fill.
import { execFile } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';

const run = promisify(execFile);
const VERSIONS = '/usr/lib/postgresql';
const USER = 'postgres';
/** Room for the tables of a long run; the disk is this machine's memory. */
const DISK_MIB = 768;
const RETRY_MS = 100;
const START_DEADLINE_MS = 60_000;
const BLOCK = Buffer.alloc(1 << 20);

export class Postgres {
  #folder;
  #data;
  #binaries;
  #isRoot = process.getuid?.() === 0;
  #filler;
  /** The last command that it has run; a run that is interrupted waits for it. */
  #running = Promise.resolve();
  #isRemoved = false;
  /** Whether its data is on a disk of its own, which can be full without harm to anybody else. */
  hasOwnDisk = false;

  constructor(port) {
    this.port = port;
    this.#folder = mkdtempSync(join(tmpdir(), 'tidings-soak-postgres-'));
    this.#data = join(this.#folder, 'disk', 'data');
    this.#filler = join(this.#folder, 'disk', 'filler');
  }

  /** The URL of its database over a port: its own, or that of a proxy in front. */
  url(port = this.port) {
    return `postgres://${USER}@127.0.0.1:${port}/postgres`;
  }

  async start() {
    const [version] = readdirSync(VERSIONS).sort((left, right) => Number(right) - Number(left));
    this.#binaries = join(VERSIONS, version, 'bin');
    const disk = join(this.#folder, 'disk');
    mkdirSync(disk);
    if (this.#isRoot) {
      this.hasOwnDisk = await this.#run('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'tmpfs', disk]).then(
        () => true,
        () => false,
      );
      await this.#run('chown', [USER, this.#folder, disk]);
    }
    // Small segments, so that a full disk is noticed by the next commits and not only after 16 MiB of them.
    const options = ['--auth', 'trust', '--encoding', 'UTF8', '--no-sync', '--wal-segsize', '1'];
    await this.#call('initdb', '--pgdata', this.#data, '--username', USER, ...options);
    await this.#launch();
  }

  /** The command line of one of its programs. PostgreSQL does not run as root, so then it runs as the user that its package made. */
  #commandOf(program, args) {
    const command = [join(this.#binaries, program), ...args];
    const [file, ...rest] = this.#isRoot ? ['runuser', '-u', USER, '--', ...command] : command;
    return [file, rest];
  }

  #call(program, ...args) {
    return this.#run(...this.#commandOf(program, args));
  }

  async #run(file, args) {
    if (this.#isRemoved) {
      throw new Error('PostgreSQL is removed.');
    }
    const running = run(file, args, { cwd: this.#folder });
    this.#running = running.catch(() => undefined);
    await running;
  }

  async #launch() {
    const settings = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: this.#folder,
      fsync: 'off',
      max_connections: '100',
      min_wal_size: '8MB',
      max_wal_size: '64MB',
    };
    const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
    const log = join(this.#folder, 'log');
    await this.#call(
      'pg_ctl',
      ...['start', '--pgdata', this.#data, '--wait', '--log', log],
      ...['--options', `-p ${this.port} ${options.join(' ')}`],
    );
  }

  /** Ends it at once, without a checkpoint, and starts it again. */
  async crash() {
    await this.#call('pg_ctl', 'stop', '--pgdata', this.#data, '--wait', '--mode', 'immediate');
    await this.revive();
  }

  /** Fills its disk to the last byte. */
  fillDisk() {
    const file = openSync(this.#filler, 'w');
    try {
      for (let written = 1, size = BLOCK.length; size > 0; ) {
        written = writeOrNothing(file, size);
        size = written === 0 ? size >> 1 : size;
      }
    } finally {
      closeSync(file);
    }
  }

  freeDisk() {
    rmSync(this.#filler, { force: true });
  }

  /** Waits until it answers, and starts it where it has ended. */
  async revive() {
    const deadline = performance.now() + START_DEADLINE_MS;
    while (!this.#isRemoved && !(await this.#answers())) {
      if (performance.now() > deadline) {
        throw new Error('PostgreSQL does not start again.');
      }
      const isDown = !existsSync(join(this.#data, 'postmaster.pid'));
      await (isDown ? this.#launch().catch(() => pause(RETRY_MS)) : pause(RETRY_MS));
    }
  }

  #answers() {
    return this.rows('SELECT 1').then(
      () => true,
      () => false,
    );
  }

  /** Returns the rows of one statement, over a connection of its own. */
  async rows(statement, values = []) {
    const client = new pg.Client({ connectionString: this.url() });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return (await client.query(statement, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** Stops it, and removes all that it has written. */
  async remove() {
    this.#isRemoved = true;
    await this.#running;
    await pause(0);
    if (existsSync(join(this.#data, 'postmaster.pid'))) {
      // One that has ended by itself leaves the file behind, too.
      const stop = this.#commandOf('pg_ctl', ['stop', '--pgdata', this.#data, '--wait', '--mode', 'immediate']);
      await run(...stop, { cwd: this.#folder }).catch(() => undefined);
    }
    if (this.hasOwnDisk) {
      await run('umount', [join(this.#folder, 'disk')]);
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function writeOrNothing(file, size) {
  try {
    return writeSync(file, BLOCK, 0, size);
  } catch {
    return 0;
  }
}
