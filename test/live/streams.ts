import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { TestApp } from '../kit/app.ts';
import { Inbox } from '../kit/socket.ts';

// biome-ignore lint/suspicious/noExplicitAny: the tests look into events of many shapes, and a wrong shape fails the test.
type Anything = any;

/** A cursor after everything that was written before the call; `Query.cursor` may lie a little earlier. */
export async function endOfLog({ app }: TestApp): Promise<string> {
  const { feed } = app.services;
  return feed.encodePosition(await feed.refresh());
}

/** One server-sent event. */
export interface Frame {
  readonly id: string | null;
  readonly event: string;
  readonly data: string;
}

export interface StreamRequest {
  readonly query: string;
  readonly variables?: Record<string, unknown>;
  readonly authorization?: string | null;
  readonly headers?: Record<string, string>;
}

/** An answer as server-sent events, on a connection of its own. */
export class EventStream {
  readonly response: IncomingMessage;
  readonly frames = new Inbox<Frame>();
  /** Resolves when the answer is over, however it came to that. */
  readonly ended: Promise<void>;
  comments = 0;
  #paused: Promise<void> = Promise.resolve();
  #resume: () => void = () => undefined;

  private constructor(response: IncomingMessage) {
    this.response = response;
    this.ended = this.#read().catch(() => undefined);
  }

  /** Posts an operation to `<url>/graphql`; it may start a little after the answer has. */
  static async open(url: string, { query, variables, authorization, headers }: StreamRequest): Promise<EventStream> {
    const asked = request(`${url}/graphql`, {
      method: 'POST',
      agent: false,
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        ...(authorization && { authorization }),
        ...headers,
      },
    });
    asked.end(JSON.stringify({ query, variables }));
    const [response] = await once(asked, 'response');
    return new EventStream(response);
  }

  /** The result that comes next; fails when the stream completes instead. */
  async result(deadlineMs?: number): Promise<Anything> {
    const frame = await this.frames.next('frame', deadlineMs);
    if (frame.event !== 'next') {
      throw new Error(`No result, but ${JSON.stringify(frame)}`);
    }
    return JSON.parse(frame.data);
  }

  /** The next result; expects it to have data without errors, and gives the one root field of it. */
  async event(deadlineMs?: number): Promise<Anything> {
    const { data, errors } = await this.result(deadlineMs);
    if (errors) {
      throw new Error(`An error came in place of an event: ${JSON.stringify(errors)}`);
    }
    return Object.values(data)[0];
  }

  /** Reads no further until the function that it gives is called. */
  pause(): () => void {
    this.#paused = new Promise((resolve) => {
      this.#resume = resolve;
    });
    return this.#resume;
  }

  /** Ends the connection from this side. */
  async close(): Promise<void> {
    this.response.destroy();
    this.#resume();
    await this.ended;
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let text = '';
    for await (const chunk of this.response) {
      text += decoder.decode(chunk, { stream: true });
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        this.#take(block);
      }
      await this.#paused;
    }
  }

  #take(block: string): void {
    const fields = new Map<string, string>();
    for (const line of block.split('\n')) {
      const [, name = '', value = ''] = /^([^:]*): ?(.*)$/.exec(line) ?? [];
      fields.set(name, value);
    }
    if (fields.has('')) {
      this.comments += 1;
    }
    const event = fields.get('event');
    if (event !== undefined) {
      this.frames.put({ id: fields.get('id') ?? null, event, data: fields.get('data') ?? '' });
    }
  }
}
