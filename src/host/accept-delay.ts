import cluster from 'node:cluster';
import type { Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** How long it rests between two measurements, in milliseconds. */
const REST_MS = 100;

/** What stands for all addresses of a host, and the address at which it reaches itself. */
const OWN_ADDRESSES: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** A connection to ourselves that waits to be accepted. */
interface Probe {
  readonly socket: Socket;
  readonly startedAt: number;
}

/**
 * Measures how long new connections wait until they are accepted, by connecting to the server itself again and again. Node accepts one connection in each turn of
 * its event loop, so that new ones can wait for seconds in the kernel's queue while no turn is long.
 */
export class AcceptDelay {
  readonly #server: Server;
  #timer: NodeJS.Timeout | undefined;
  #probe: Probe | null = null;
  /** The local ports of the connections that were accepted since the probe began. */
  #accepted = new Set<number | undefined>();
  #lastMs = 0;

  constructor(server: Server) {
    this.#server = server;
    // The first process of several accepts for all, and hands connections on.
    if (!cluster.isWorker) {
      server.on('connection', this.#onConnection);
      server.once('listening', () => this.#start());
      server.once('close', () => this.close());
    }
  }

  /** How long the last measured connection waited, or the one that waits now if that is longer already, in milliseconds. */
  get ms(): number {
    return Math.max(this.#lastMs, this.#probe ? performance.now() - this.#probe.startedAt : 0);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#server.off('connection', this.#onConnection);
    this.#probe?.socket.destroy();
    this.#probe = null;
  }

  readonly #onConnection = ({ remotePort }: Socket): void => {
    if (this.#probe) {
      this.#accepted.add(remotePort);
      this.#check(this.#probe);
    }
  };

  #start(): void {
    const { address, port } = this.#server.address() as AddressInfo;
    this.#accepted.clear();
    const socket = connect({ host: OWN_ADDRESSES[address] ?? address, port });
    const probe = { socket, startedAt: performance.now() };
    this.#probe = probe;
    socket.unref();
    // It may have been accepted before we know of our own port.
    socket.once('connect', () => this.#check(probe));
    socket.once('error', () => this.#end(probe));
  }

  #check(probe: Probe): void {
    if (this.#accepted.has(probe.socket.localPort)) {
      this.#lastMs = performance.now() - probe.startedAt;
      this.#end(probe);
    }
  }

  #end(probe: Probe): void {
    probe.socket.destroy();
    if (this.#probe === probe) {
      this.#probe = null;
      this.#timer = setTimeout(() => this.#start(), REST_MS);
      this.#timer.unref();
    }
  }
}
