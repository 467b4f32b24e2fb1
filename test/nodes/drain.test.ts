import { type ClientRequest, get } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { privateDatabase } from '../kit/app.ts';
import { Person } from '../kit/person.ts';
import { type ServerProcess, startByNpm, startProcess } from '../kit/process.ts';

const SOCKETS = 900;
const EVENT_STREAMS = 100;
/** Long enough to look at the server meanwhile, on a busy machine too. */
const DRAIN_MS = 1_500;
const DRAIN_SOCKETS_MS = 2_000;
/** More than the time within which signals count as one. */
const REPEAT_MS = 3_000;
/** How often something is written meanwhile. */
const WRITE_INTERVAL_MS = 200;
/** How long clients wait before they connect again: so long that this does not delay what they read of the closing. */
const RETRY_MS = DRAIN_SOCKETS_MS;
const DEADLINE_MS = 20_000;
const POLL = { interval: 20, timeout: DEADLINE_MS };

const QUERY = 'subscription ($after: String) { todoChanged(after: $after) { cursor todo { title } } }';

interface Payload {
  readonly data: { readonly todoChanged: { readonly cursor: string; readonly todo: { readonly title: string } } };
}

/** A subscriber that connects again, with the cursor of its last event, when the server ends its connection. */
abstract class Subscriber {
  readonly titles: string[] = [];
  /** When the first connection was ended, and by which code. */
  endedAt: number | null = null;
  code: number | null = null;
  protected after: string;
  protected urls: readonly string[];

  constructor(after: string, urls: readonly string[]) {
    this.after = after;
    this.urls = urls;
  }

  abstract connect(): Promise<void>;
  abstract close(): void;

  protected receive(payload: Payload): void {
    const { cursor, todo } = payload.data.todoChanged;
    this.after = cursor;
    this.titles.push(todo.title);
  }

  protected ended(code: number | null): void {
    this.endedAt = performance.now();
    this.code = code;
    this.urls = this.urls.slice(1);
    if (this.urls.length > 0) {
      setTimeout(() => this.urls.length > 0 && this.connect(), RETRY_MS);
    }
  }
}

class SocketSubscriber extends Subscriber {
  #socket: WebSocket | null = null;

  connect(): Promise<void> {
    const socket = new WebSocket(`${this.urls[0]?.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    this.#socket = socket;
    socket.on('open', () => socket.send('{"type":"connection_init"}'));
    socket.on('close', (code) => this.ended(code));
    return new Promise((resolve, reject) => {
      // Also when it is closed by the test while it connects.
      socket.on('error', (error) => this.urls.length > 0 && reject(error));
      socket.on('message', (data) => {
        const { type, payload } = JSON.parse(String(data));
        if (type === 'connection_ack') {
          const request = { query: QUERY, variables: { after: this.after } };
          socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: request }), () => resolve());
        } else if (type === 'next') {
          this.receive(payload);
        }
      });
    });
  }

  close(): void {
    this.urls = [];
    this.#socket?.terminate();
  }
}

class StreamSubscriber extends Subscriber {
  #request: ClientRequest | null = null;

  connect(): Promise<void> {
    const variables = encodeURIComponent(JSON.stringify({ after: this.after }));
    const url = `${this.urls[0]}/graphql?query=${encodeURIComponent(QUERY)}&variables=${variables}`;
    return new Promise((resolve, reject) => {
      this.#request = get(url, { agent: false, headers: { accept: 'text/event-stream' } }, (response) => {
        resolve();
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          const blocks = (text + chunk).split('\n\n');
          text = blocks.pop() ?? '';
          for (const block of blocks) {
            const data = /^data: (\{.*)$/m.exec(block)?.[1];
            if (data) {
              this.receive(JSON.parse(data));
            }
            expect(block).not.toContain('event: complete');
          }
        });
        response.on('error', () => undefined).on('close', () => this.ended(null));
      }).once('error', reject);
    });
  }

  close(): void {
    this.urls = [];
    this.#request?.destroy();
  }
}

const database = privateDatabase();
const env = { DATABASE_URL: `file:${database.path}` };
let first: ServerProcess;
let second: ServerProcess;
beforeAll(async () => {
  [first, second] = await Promise.all([
    startByNpm({ ...env, DRAIN_MS: String(DRAIN_MS), DRAIN_SOCKETS_MS: String(DRAIN_SOCKETS_MS) }),
    startProcess({ ...env, DRAIN_MS: '60000' }),
  ]);
}, 60_000);
afterAll(async () => {
  await Promise.all([first.stop(), second.stop('SIGKILL')]);
  database.remove();
});

const isRunning = (url: string): Promise<boolean> =>
  fetch(`${url}/health`).then(
    () => true,
    () => false,
  );

describe('a node that stops', () => {
  it('should hand its subscribers over without a gap, a few at a time', async () => {
    const writer = new Person(second.url, null, '');
    const make = (title: string) =>
      writer.gql('mutation ($title: String!) { createTodo(input: { title: $title }) { __typename } }', { title });
    const { cursor } = await writer.gql('{ cursor }');
    const urls = [first.url, second.url];
    const subscribers = Array.from({ length: SOCKETS + EVENT_STREAMS }, (_, index) =>
      index < SOCKETS ? new SocketSubscriber(cursor, urls) : new StreamSubscriber(cursor, urls),
    );
    await Promise.all(subscribers.map((subscriber) => subscriber.connect()));

    const titles: string[] = [];
    const write = async (): Promise<void> => {
      const title = `todo ${titles.length}`;
      await make(title);
      titles.push(title);
    };
    await write();
    const received = () => subscribers.filter((subscriber) => subscriber.titles.length === titles.length).length;
    await expect.poll(received, { timeout: DEADLINE_MS }).toBe(subscribers.length);

    // npm's process: the signal has to reach the server.
    const startedAt = performance.now();
    const stopped = first.stop();
    await expect.poll(() => fetch(`${first.url}/ready`).then(({ status }) => status), POLL).toBe(503);
    const ready = await fetch(`${first.url}/ready`);
    expect([await ready.json(), ready.headers.get('connection')]).toEqual([
      { status: 'draining', problem: 'The server is about to stop.' },
      'close',
    ]);
    // Everything is still served.
    const late = new SocketSubscriber(cursor, urls);
    await late.connect();
    subscribers.push(late);
    expect((await fetch(`${first.url}/graphql?query={__typename}`)).status).toBe(200);
    expect(subscribers.every(({ endedAt }) => endedAt === null)).toBe(true);
    while (subscribers.some(({ endedAt }) => endedAt === null)) {
      await Promise.all([write(), pause(WRITE_INTERVAL_MS)]);
    }
    expect((await stopped).code).toBe(0);
    expect(await isRunning(first.url)).toBe(false);

    await expect.poll(received, { timeout: DEADLINE_MS }).toBe(subscribers.length);
    for (const subscriber of subscribers) {
      expect(subscriber.titles).toEqual(titles);
    }
    const codes = new Set(subscribers.map(({ code }) => code));
    expect(codes).toEqual(new Set([1001, null]));
    const ends = subscribers.map(({ endedAt }) => (endedAt ?? 0) - startedAt).sort((left, right) => left - right);
    expect(ends[0]).toBeGreaterThanOrEqual(DRAIN_MS);
    expect((ends.at(-1) ?? 0) - (ends[0] ?? 0)).toBeGreaterThan(DRAIN_SOCKETS_MS * 0.7);
    // At no time a crowd: not even on a machine that is so busy that many closings are read together.
    const most = Math.max(
      ...ends.map((from) => ends.filter((at) => at >= from && at < from + DRAIN_SOCKETS_MS / 10).length),
    );
    expect(most).toBeLessThan(subscribers.length / 2);
    for (const subscriber of subscribers) {
      subscriber.close();
    }
  }, 60_000);

  it('should end at once at a second signal, which the same signal from two senders is not', async () => {
    const startedAt = performance.now();
    process.kill(second.pid, 'SIGINT');
    process.kill(second.pid, 'SIGTERM');
    await expect.poll(() => fetch(`${second.url}/ready`).then(({ status }) => status), POLL).toBe(503);
    let isEnded = false;
    const again = setInterval(() => second.stop().then(() => (isEnded = true)), REPEAT_MS / 10);
    await expect.poll(() => isEnded, { timeout: DEADLINE_MS }).toBe(true);
    clearInterval(again);
    expect(performance.now() - startedAt).toBeGreaterThan(1_000);
    expect(await isRunning(second.url)).toBe(false);
  });
});
