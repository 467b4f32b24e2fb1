import cluster from 'node:cluster';
import type { Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** How often a connection is made, in milliseconds. */
const INTERVAL_MS = 100;
/** How many connections in a row have to wait: one alone may have met a collection of garbage. */
const PROBES = 3;

/** What stands for all addresses of a host, and the address at which it reaches itself. */
const OWN_ADDRESSES: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** A connection to ourselves. */
interface Probe {
  readonly socket: Socket;
  readonly startedAt: number;
  /** How long it waited to be accepted, in milliseconds; null while it waits. */
  waitedMs: number | null;
}

/**
 * Measures how long new connections wait until they are accepted, by connecting to the server itself again and again. Node accepts one connection in each turn of
 * its event loop, so that new ones can wait for seconds in the kernel's queue while no turn is long.
 */
export class AcceptDelay {
  readonly #server: Server;
  #timer: NodeJS.Timeout | undefined;
  /** The last probes, the newest first. */
  #probes: readonly Probe[] = [];
  /** The remote ports of the connections that were accepted while a probe did not know its own port. */
  readonly #accepted = new Set<number | undefined>();

  constructor(server: Server) {
    this.#server = server;
    // The first process of several accepts for all, and hands connections on.
    if (!cluster.isWorker) {
      server.on('connection', this.#onConnection);
      server.once('listening', () => {
        this.#timer = setInterval(() => this.#connect(), INTERVAL_MS);
        this.#timer.unref();
      });
      server.once('close', () => this.close());
    }
  }

  /** How long each of the last connections waited at the least, those that wait now included, in milliseconds. */
  get ms(): number {
    if (this.#probes.length < PROBES) {
      return 0;
    }
    const now = performance.now();
    return Math.min(...this.#probes.map(({ waitedMs, startedAt }) => waitedMs ?? now - startedAt));
  }

  close(): void {
    clearInterval(this.#timer);
    this.#server.off('connection', this.#onConnection);
    for (const { socket } of this.#probes) {
      socket.destroy();
    }
    this.#probes = [];
  }

  readonly #onConnection = ({ remotePort }: Socket): void => {
    if (this.#probes.some(({ waitedMs }) => waitedMs === null)) {
      this.#accepted.add(remotePort);
      this.#check();
    }
  };

  #connect(): void {
    const address = this.#server.address() as AddressInfo | null;
    if (!address || this.#probes.filter(({ waitedMs }) => waitedMs === null).length >= PROBES) {
      return;
    }
    const socket = connect({ host: OWN_ADDRESSES[address.address] ?? address.address, port: address.port });
    const probe: Probe = { socket, startedAt: performance.now(), waitedMs: null };
    this.#probes = [probe, ...this.#probes.slice(0, PROBES - 1)];
    socket.unref();
    // It may have been accepted before we know of our own port.
    socket.once('connect', () => this.#check());
    socket.once('error', () => this.#end(probe, 0));
  }

  #check(): void {
    for (const probe of this.#probes) {
      if (probe.waitedMs === null && this.#accepted.has(probe.socket.localPort)) {
        this.#end(probe, performance.now() - probe.startedAt);
      }
    }
    // Ports are used again, and only a probe that does not know its own has to remember those of others.
    if (!this.#probes.some(({ socket }) => socket.connecting)) {
      this.#accepted.clear();
    }
  }

  #end(probe: Probe, waitedMs: number): void {
    probe.waitedMs = waitedMs;
    probe.socket.destroy();
  }
}
