import cluster from 'node:cluster';
import type { Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** The interval of the probes, in milliseconds. */
const INTERVAL_MS = 100;
/** The number of latest probes of which the shortest delay counts: a single one may be late because of a garbage collection. */
const PROBES = 3;

/** The wildcard addresses, and the loopback address at which a server on them can be reached. */
const OWN_ADDRESSES: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** A connection of the process to its own server. */
interface Probe {
  readonly socket: Socket;
  readonly startedAt: number;
  /** The time until the connection was accepted, in milliseconds; null while it waits. */
  waitedMs: number | null;
}

/**
 * Measures how long new connections wait until they are accepted, by probe connections to the own server. Node accepts one
 * connection in each turn of the event loop, so that connections can wait for seconds in the kernel's queue although each
 * turn is short.
 */
export class AcceptDelay {
  readonly #server: Server;
  #timer: NodeJS.Timeout | undefined;
  /** The latest probes, newest first. */
  #probes: readonly Probe[] = [];
  /** The remote ports of connections that were accepted while a probe was waiting. */
  readonly #accepted = new Set<number | undefined>();

  constructor(server: Server) {
    this.#server = server;
    // In a cluster, the primary process accepts the connections of all workers.
    if (!cluster.isWorker) {
      server.on('connection', this.#onConnection);
      server.once('listening', () => {
        this.#timer = setInterval(() => this.#connect(), INTERVAL_MS);
        this.#timer.unref();
      });
      server.once('close', () => this.close());
    }
  }

  /** The shortest delay of the latest probes, in milliseconds. For a waiting probe, the time it has waited so far counts. */
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
    // The server can accept the connection before its client side knows the local port.
    socket.once('connect', () => this.#check());
    socket.once('error', () => this.#end(probe, 0));
  }

  #check(): void {
    for (const probe of this.#probes) {
      if (probe.waitedMs === null && this.#accepted.has(probe.socket.localPort)) {
        this.#end(probe, performance.now() - probe.startedAt);
      }
    }
    // Ports are reused. The set is needed only while a probe does not know its local port.
    if (!this.#probes.some(({ socket }) => socket.connecting)) {
      this.#accepted.clear();
    }
  }

  #end(probe: Probe, waitedMs: number): void {
    probe.waitedMs = waitedMs;
    probe.socket.destroy();
  }
}
