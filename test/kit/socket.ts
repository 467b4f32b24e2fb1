import { WebSocket } from 'ws';

// biome-ignore lint/suspicious/noExplicitAny: the tests look into messages of many shapes, and a wrong shape fails the test.
type Anything = any;

const DEADLINE_MS = 10_000;
const SIGNAL_INTERVAL_MS = 100;
/** Waits for values that come one by one. */
export class Inbox<Value> {
  readonly #values: Value[] = [];
  readonly #waiting: ((value: Value) => void)[] = [];

  put(value: Value): void {
    const waiter = this.#waiting.shift();
    if (waiter) {
      waiter(value);
    } else {
      this.#values.push(value);
    }
  }

  /** The next value, as soon as it is there. */
  next(what = 'value', deadlineMs = DEADLINE_MS): Promise<Value> {
    const value = this.#values.shift();
    if (value !== undefined) {
      return Promise.resolve(value);
    }
    return new Promise((resolve, reject) => {
      const settle = (arrived: Value): void => {
        clearTimeout(timer);
        resolve(arrived);
      };
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(settle), 1);
        reject(new Error(`No ${what} came within ${deadlineMs} ms.`));
      }, deadlineMs);
      this.#waiting.push(settle);
    });
  }

  /** Everything that has come and was not asked for yet. */
  drain(): Value[] {
    return this.#values.splice(0);
  }
}

export interface Closing {
  readonly code: number;
  readonly reason: string;
}

/** A WebSocket whose frames wait in an inbox. */
export class RawSocket {
  readonly socket: WebSocket;
  readonly frames = new Inbox<string>();
  /** Why the socket was closed, once it was. */
  readonly closed: Promise<Closing>;
  readonly opened: Promise<void>;

  constructor(
    url: string,
    { protocols = [], headers = {} }: { protocols?: string[]; headers?: Record<string, string> } = {},
  ) {
    this.socket = new WebSocket(url.replace(/^http/, 'ws'), protocols, { headers });
    this.socket.on('message', (data) => this.frames.put(String(data)));
    this.closed = new Promise((resolve) => {
      this.socket.once('close', (code, reason) => resolve({ code, reason: String(reason) }));
    });
    this.opened = new Promise((resolve, reject) => {
      this.socket.once('open', () => resolve());
      this.socket.once('error', reject);
    });
    this.opened.catch(() => undefined);
    // `opened` and `closed` report a connection that was refused or reset.
    this.socket.on('error', () => undefined);
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  /** The next frame, read as JSON. */
  async nextJson(deadlineMs?: number): Promise<Anything> {
    return JSON.parse(await this.frames.next('frame', deadlineMs));
  }

  /** Ends the connection as a network does: without a word. */
  terminate(): void {
    this.socket.terminate();
  }
}

/** One operation over a {@link SocketClient}. */
export class Operation {
  readonly id: string;
  /** The payloads of its `next` messages. */
  readonly results = new Inbox<Anything>();
  /** Resolves when the server ends it: with the errors it ended with, or null for `complete`. */
  readonly ended: Promise<readonly Anything[] | null>;
  end: (errors: readonly Anything[] | null) => void = () => undefined;
  /** Takes its results as they come, in place of the inbox. */
  onResult: ((payload: Anything) => void) | null = null;

  constructor(id: string) {
    this.id = id;
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
  }

  /** The next result; expects it to have data without errors, and gives the one root field of it. */
  async event(deadlineMs?: number): Promise<Anything> {
    const result = await this.results.next('event', deadlineMs);
    if (result.errors) {
      throw new Error(`An error came in place of an event: ${JSON.stringify(result)}`);
    }
    const [event] = Object.values(result.data);
    return event;
  }
}

/** Gives a signal of typing until a subscription receives one, and returns it: signals are not kept for those who come later. */
export async function firstTyping(typing: Operation, signal: () => Promise<unknown>): Promise<Anything> {
  const signals = setInterval(signal, SIGNAL_INTERVAL_MS);
  return typing.event().finally(() => clearInterval(signals));
}

/** A client of graphql-transport-ws that hides nothing: it neither reconnects nor retries. */
export class SocketClient {
  readonly raw: RawSocket;
  readonly #operations = new Map<string, Operation>();
  #count = 0;

  private constructor(raw: RawSocket) {
    this.raw = raw;
  }

  /** Connects to `<url>/graphql` and waits for the acknowledgement. */
  static async open(
    url: string,
    authorization: string | null,
    headers: Record<string, string> = {},
  ): Promise<SocketClient> {
    const raw = new RawSocket(`${url}/graphql`, { protocols: ['graphql-transport-ws'], headers });
    await raw.opened;
    raw.send({ type: 'connection_init', ...(authorization && { payload: { authorization } }) });
    const closed = raw.closed.then(({ code, reason }) => {
      throw new Error(`The socket was closed: ${code} ${reason}`);
    });
    const acknowledged = await Promise.race([raw.nextJson(), closed]);
    closed.catch(() => undefined);
    if (acknowledged.type !== 'connection_ack') {
      throw new Error(`Not acknowledged: ${JSON.stringify(acknowledged)}`);
    }
    const client = new SocketClient(raw);
    client.#listen();
    return client;
  }

  get closed(): Promise<Closing> {
    return this.raw.closed;
  }

  /** Starts an operation; `id` is chosen unless given. */
  start(query: string, variables: Record<string, unknown> = {}, id: string = String(++this.#count)): Operation {
    const operation = new Operation(id);
    this.#operations.set(id, operation);
    this.raw.send({ type: 'subscribe', id, payload: { query, variables } });
    return operation;
  }

  /** Runs an operation that gives one result. */
  async execute(query: string, variables?: Record<string, unknown>): Promise<Anything> {
    return this.start(query, variables).results.next('result');
  }

  /** Ends an operation from this side. */
  stop({ id }: Operation): void {
    this.#operations.delete(id);
    this.raw.send({ type: 'complete', id });
  }

  async close(): Promise<void> {
    this.raw.socket.close();
    await this.raw.closed;
  }

  #listen(): void {
    // A frame may have come together with the acknowledgement.
    for (const frame of this.raw.frames.drain()) {
      this.#take(JSON.parse(frame));
    }
    this.raw.socket.removeAllListeners('message');
    this.raw.socket.on('message', (data) => this.#take(JSON.parse(String(data))));
  }

  #take({ type, id, payload }: { type: string; id: string; payload: Anything }): void {
    const operation = this.#operations.get(id);
    if (type === 'ping') {
      this.raw.send({ type: 'pong' });
    } else if (type === 'next') {
      if (operation?.onResult) {
        operation.onResult(payload);
      } else {
        operation?.results.put(payload);
      }
    } else if (type === 'error' || type === 'complete') {
      operation?.end(type === 'error' ? payload : null);
      this.#operations.delete(id);
    }
  }
}
