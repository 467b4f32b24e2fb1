import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { ExecutionResult } from 'graphql';
import type { Sink, StreamEnd } from '../changes/delivery.ts';
import type { StreamEvent } from '../changes/filter.ts';
import type { Result } from '../changes/result.ts';
import type { RequestRecord } from '../telemetry.ts';
import { formatResult } from './format-result.ts';

/** The number of buffered bytes from which a subscription stops sending until the client has read them. */
const MAX_BUFFERED_BYTES = 64 * 1024;

export const SSE_TYPE = 'text/event-stream';

/** Writes server-sent events as the response to one request. */
export class SseOutput {
  readonly #response: ServerResponse;
  readonly #ping: NodeJS.Timeout;

  constructor(reply: FastifyReply, keepAliveMs: number) {
    reply.hijack();
    this.#response = reply.raw;
    this.#response.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': `${SSE_TYPE}; charset=utf-8`,
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
    });
    this.#response.write(':\n\n');
    this.#ping = setInterval(() => this.#response.write(':\n\n'), keepAliveMs);
    this.#ping.unref();
    this.#response.once('close', () => clearInterval(this.#ping));
  }

  /** Calls back when the connection is closed, at once when it already is. */
  onClose(callback: () => void): void {
    this.#response.once('close', callback);
    if (this.#response.destroyed) {
      callback();
    }
  }

  /** Whether the client has read enough of the earlier events to receive another one. */
  get isWritable(): boolean {
    return this.#response.writableLength < MAX_BUFFERED_BYTES;
  }

  /** Calls back once, when the client has read all buffered events. */
  onceWritable(callback: () => void): void {
    this.#response.once('drain', callback);
  }

  write(bytes: Buffer): void {
    if (!this.#response.destroyed && !this.#response.writableEnded) {
      this.#response.write(bytes);
    }
  }

  /** Sends a `next` event, and waits until it is written or the connection is closed. */
  async next(result: ExecutionResult): Promise<void> {
    await this.#written(nextEvent(JSON.stringify(formatResult(result)), null));
  }

  /** Sends the `complete` event, after which clients do not connect again, and ends the response. */
  async complete(): Promise<void> {
    clearInterval(this.#ping);
    await this.#written('event: complete\ndata:\n\n');
    this.#response.end();
  }

  /** Ends the response without the `complete` event, so that clients connect again. */
  async cut(): Promise<void> {
    clearInterval(this.#ping);
    this.#response.end();
  }

  destroyAfter(delayMs: number): void {
    setTimeout(() => this.#response.destroy(), delayMs).unref();
  }

  async #written(text: string): Promise<void> {
    if (this.#response.destroyed || this.#response.writableEnded || this.#response.write(text)) {
      return;
    }
    const drained = new AbortController();
    await Promise.race(
      ['drain', 'close'].map((event) => once(this.#response, event, { signal: drained.signal })),
    ).finally(() => drained.abort());
  }
}

/** Sends the results of a subscription as `next` events. */
export class SseSink implements Sink {
  readonly #output: SseOutput;
  readonly #record: RequestRecord | null;
  readonly #onEnd: (end: StreamEnd) => void;

  constructor(output: SseOutput, record: RequestRecord | null, onEnd: (end: StreamEnd) => void) {
    this.#output = output;
    this.#record = record;
    this.#onEnd = onEnd;
  }

  isWritable(): boolean {
    return this.#output.isWritable;
  }

  onceWritable(callback: () => void): void {
    this.#output.onceWritable(callback);
  }

  send(result: Result, { cursor }: StreamEvent): void {
    this.#output.write(result.encode(SSE_TYPE, (text) => nextEvent(text, cursor)));
    if (this.#record) {
      this.#record.events += 1;
    }
  }

  end(end: StreamEnd): void {
    this.#onEnd(end);
  }
}

function nextEvent(data: string, cursor: string | null): string {
  const id = cursor === null ? '' : `id: ${cursor}\n`;
  return `${id}event: next\ndata: ${data}\n\n`;
}
