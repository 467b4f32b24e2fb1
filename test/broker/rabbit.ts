import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const CONSUMER = fileURLToPath(new URL('consumer.py', import.meta.url));
const PRODUCER = fileURLToPath(new URL('producer.py', import.meta.url));
const DEADLINE_MS = 20_000;

export interface PrivateBroker {
  /** The URL of a virtual host that nobody else uses. */
  readonly url: string;
  readonly remove: () => Promise<void>;
}

/** A virtual host of one's own, so that test files do not disturb each other; where none can be made, that of the URL itself. */
export async function privateBroker(url: string): Promise<PrivateBroker> {
  const vhost = `tidings-test-${randomUUID()}`;
  const { username } = new URL(url);
  try {
    await control('add_vhost', vhost);
    await control('set_permissions', '-p', vhost, username || 'guest', '.*', '.*', '.*');
  } catch {
    return { url, remove: async () => undefined };
  }
  const own = new URL(url);
  own.pathname = `/${vhost}`;
  return { url: own.href, remove: () => control('delete_vhost', vhost) };
}

async function control(...args: string[]): Promise<void> {
  await promisify(execFile)('rabbitmqctl', ['--quiet', ...args], { timeout: DEADLINE_MS });
}

/** What a consumer got. */
export interface Arrival {
  readonly exchange: string;
  readonly routingKey: string;
  readonly id: string | null;
  readonly timestamp: number | null;
  readonly contentType: string | null;
  readonly headers: Readonly<Record<string, unknown>> | null;
  readonly text: string;
}

/** A consumer in Python, with pika. */
export class PikaConsumer {
  readonly arrivals: Arrival[] = [];
  readonly stop: () => Promise<void>;
  #onArrival: () => void = () => undefined;

  private constructor(stop: () => Promise<void>) {
    this.stop = stop;
  }

  /** Starts to listen to the exchanges of these chats, or to `--queue` and its name; resolves once it does. */
  static async start(python: string, url: string, ...names: string[]): Promise<PikaConsumer> {
    const child = spawn(python, [CONSUMER, url, ...names], { stdio: ['ignore', 'pipe', 'inherit'] });
    const consumer = new PikaConsumer(async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    });
    await new Promise<void>((resolve, reject) => {
      child.once('exit', () => reject(new Error('The consumer ended.')));
      createInterface(child.stdout).on('line', (line) => (line === 'ready' ? resolve() : consumer.#take(line)));
    });
    return consumer;
  }

  /** What came, each message once, in the order of first arrival. */
  get distinct(): Arrival[] {
    return [...new Map(this.arrivals.map((arrival) => [arrival.id, arrival])).values()];
  }

  /** The texts of the chat messages among them. */
  get said(): string[] {
    return this.distinct.map(({ text }) => JSON.parse(text).message);
  }

  /** Waits until so many different messages have come. */
  async waitFor(count: number, deadlineMs = DEADLINE_MS): Promise<void> {
    const deadline = Date.now() + deadlineMs;
    while (this.distinct.length < count) {
      const left = deadline - Date.now();
      if (left <= 0) {
        throw new Error(`${this.distinct.length} of ${count} messages came within ${deadlineMs} ms.`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#onArrival = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  #take(line: string): void {
    this.arrivals.push(JSON.parse(line));
    this.#onArrival();
  }
}

/** A message for a queue; `text` stands for bytes in Latin-1. */
export interface Outbound {
  readonly id?: string | undefined;
  readonly text: string;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Puts messages on a queue from Python, with pika. */
export async function produce(
  python: string,
  url: string,
  queue: string,
  messages: readonly Outbound[],
): Promise<void> {
  const child = spawn(python, [PRODUCER, url, queue], { stdio: ['pipe', 'inherit', 'inherit'] });
  child.stdin.end(messages.map((message) => `${JSON.stringify(message)}\n`).join(''));
  const [code] = await once(child, 'exit');
  if (code !== 0) {
    throw new Error(`The producer ended with ${code}.`);
  }
}

/** The way to the broker, which can be cut as when the broker is stopped, and restored. */
export class Wire {
  readonly url: string;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #port: number;
  #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(brokerUrl: string, server: Server) {
    const target = new URL(brokerUrl);
    this.#target = { host: target.hostname, port: Number(target.port || 5672) };
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    target.hostname = '127.0.0.1';
    target.port = String(this.#port);
    this.url = target.href;
    server.on('connection', (socket) => this.#join(socket));
  }

  static async open(brokerUrl: string): Promise<Wire> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Wire(brokerUrl, server);
  }

  /** Ends all connections without a word, and refuses new ones. */
  async cut(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) {
      socket.resetAndDestroy();
    }
    await closed;
  }

  async restore(): Promise<void> {
    this.#server = createServer((socket) => this.#join(socket));
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  #join(near: Socket): void {
    const far = connect(this.#target);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }
}
