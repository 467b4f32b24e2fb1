// The cluster of a run: clients → proxy → nginx → two nodes → a proxy each → PostgreSQL.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SECRET_KEY } from '../people.js';
import { residentMiB, startServer } from '../server.js';
import { Link } from './link.js';
import { Postgres } from './postgres.js';

const NODES = 2;
const RETRY_MS = 50;
const START_ATTEMPTS = 5;
const START_DEADLINE_MS = 20_000;
const PROBE_TIMEOUT_MS = 2000;
const CLOCK = new URL('clock.js', import.meta.url).href;
const NGINX_CONF = fileURLToPath(new URL('../../deploy/nginx.conf', import.meta.url));
/** Below the ports that the kernel gives to outgoing connections, so that a node finds its port free when it starts again. */
const PORTS = { from: 20_000, to: 32_000 };

/** A port on which nothing listens. */
async function freePort() {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    const probe = createServer();
    const isFree = await new Promise((resolve) => {
      probe.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (isFree) {
      await new Promise((resolve) => probe.close(resolve));
      return port;
    }
  }
}

/** One of the nodes, through all processes that it is. */
class Node {
  #cluster;
  #server = null;
  #starting = null;
  #isKilled = false;

  constructor(cluster, index, port, link) {
    Object.assign(this, { index, port, link, name: `node ${index + 1}` });
    this.#cluster = cluster;
    this.clockFile = join(cluster.folder, `clock-${index}`);
  }

  get pid() {
    return this.#server?.pid ?? null;
  }

  /** The resident memory in MiB; null while there is no process. */
  get memory() {
    try {
      return this.#server ? residentMiB(this.pid) : null;
    } catch {
      return null;
    }
  }

  start() {
    this.#starting = this.#launch();
    return this.#starting;
  }

  async #launch() {
    const { postgres, onOutput, onCrash } = this.#cluster;
    this.#cluster.requireRunning();
    writeFileSync(this.clockFile, '0');
    const env = {
      DATABASE_URL: postgres.url(this.link.port),
      SECRET_KEY,
      PORT: String(this.port),
      TRUST_PROXY: '1',
      // Longer than any run: clients sign in again, and keep the sockets that they opened before.
      ACCESS_TOKEN_LIFE_S: '864000',
      // Longer than the five seconds after which a stopped process loses its locks, and short enough for a run to reach it.
      DATABASE_TIMEOUT_MS: '8000',
      KEEP_ALIVE_MS: '3000',
      NODE_OPTIONS: `--import=${CLOCK}`,
      SOAK_CLOCK: this.clockFile,
    };
    const server = await startServer(env, undefined, (text) => onOutput(this, text));
    this.#server = server;
    this.#isKilled = false;
    server.ended.then((code) => {
      if (!this.#isKilled) {
        onCrash(this, code);
      }
      this.#server = this.#server === server ? null : this.#server;
    });
  }

  /** Starts it again, as a supervisor does: also while the database is not back. */
  async restart() {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.start();
      } catch (error) {
        this.#cluster.requireRunning();
        if (attempt === START_ATTEMPTS) {
          throw error;
        }
        await pause(RETRY_MS * 10);
      }
    }
  }

  signal(name) {
    if (this.pid !== null) {
      process.kill(this.pid, name);
    }
  }

  async kill() {
    // One that is only about to listen is not known yet.
    await this.#starting?.catch(() => undefined);
    this.#isKilled = true;
    await this.#server?.stop('SIGKILL');
  }

  moveClock(shiftMs) {
    writeFileSync(this.clockFile, String(shiftMs));
    this.signal('SIGUSR2');
  }

  /** Whether it says of itself that it can serve. */
  isReady() {
    return fetch(`http://127.0.0.1:${this.port}/ready`, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) }).then(
      ({ status }) => status === 200,
      () => false,
    );
  }
}

export class Cluster {
  folder = mkdtempSync(join(tmpdir(), 'tidings-soak-'));
  nodes = [];
  #nginx = null;
  #stopping = null;

  /** `onOutput` gets what a node prints, `onCrash` the end of one that nobody has stopped. */
  constructor({ nginx, onOutput, onCrash }) {
    Object.assign(this, { nginxProgram: nginx, onOutput, onCrash });
  }

  /** @throws when the run was interrupted, so that nothing starts any more */
  requireRunning() {
    if (this.#stopping) {
      throw new Error('The cluster is stopping.');
    }
  }

  async start() {
    this.postgres = new Postgres(await freePort());
    await this.postgres.start();
    for (let index = 0; index < NODES; index += 1) {
      this.nodes.push(new Node(this, index, await freePort(), await Link.open(this.postgres.port)));
    }
    await Promise.all(this.nodes.map((node) => node.start()));
    const port = await freePort();
    await this.#startNginx(port);
    this.clients = await Link.open(port);
    this.url = `http://127.0.0.1:${this.clients.port}`;
  }

  /** Starts nginx with the configuration of the documentation, in front of these nodes. */
  async #startNginx(port) {
    const upstreams = this.nodes.map((node) => `server 127.0.0.1:${node.port};`).join(' ');
    const documented = readFileSync(NGINX_CONF, 'utf8')
      .replace(/server node-1:8000;/, upstreams)
      .replace(/server node-\d:8000;/g, '')
      .replace(/listen 80;/, `listen 127.0.0.1:${port};`);
    const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    const http = folders.map((name) => `${name}_temp_path ${this.folder}/${name};`).join(' ');
    const file = join(this.folder, 'nginx.conf');
    writeFileSync(
      file,
      `daemon off; master_process off; pid ${this.folder}/pid; error_log /dev/null;
       events {} http { access_log off; ${http} ${documented} }`,
    );
    this.requireRunning();
    const child = spawn(this.nginxProgram, ['-p', this.folder, '-c', file, '-e', 'stderr'], { stdio: 'inherit' });
    this.#nginx = { child, ended: once(child, 'exit') };
    const deadline = performance.now() + START_DEADLINE_MS;
    while (!(await accepts(port))) {
      if (child.exitCode !== null || performance.now() > deadline) {
        throw new Error('nginx does not listen.');
      }
      await pause(RETRY_MS);
    }
  }

  /** Stops every process that it has started, whatever their state, and removes their files. */
  stop() {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll() {
    this.clients?.close();
    for (const node of this.nodes) {
      node.link.close();
      await node.kill();
    }
    if (this.#nginx?.child.kill('SIGTERM')) {
      await this.#nginx.ended;
    }
    await this.postgres?.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
