import type { ExecutionResult } from 'graphql';
import type { Sink, StreamEnd } from '../changes/delivery.ts';
import type { Result } from '../changes/result.ts';
import type { SocketWriter } from '../sockets/socket-writer.ts';
import type { RequestRecord } from '../telemetry.ts';

/**
 * Sends the results of one subscription as `next` messages. graphql-ws sees an iterator that only ends: the results bypass
 * it, because the payload of a message is encoded once for all subscriptions with the same result.
 */
export class SocketSink implements Sink, AsyncIterableIterator<ExecutionResult> {
  readonly #writer: SocketWriter;
  readonly #head: Buffer;
  readonly #record: RequestRecord | null;
  readonly #close: () => void;
  readonly #ended: Promise<StreamEnd>;
  #end: (end: StreamEnd) => void = () => undefined;

  constructor(writer: SocketWriter, id: string, record: RequestRecord | null, close: () => void) {
    this.#writer = writer;
    this.#record = record;
    this.#head = Buffer.from(`{"id":${JSON.stringify(id)},"type":"next","payload":`);
    this.#close = close;
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  isWritable(): boolean {
    return this.#writer.isWritable;
  }

  onceWritable(callback: () => void): void {
    this.#writer.onceWritable(callback);
  }

  send(result: Result): void {
    const payload = result.encode('graphql-transport-ws', (text) => `${text}}`);
    this.#writer.send(this.#head, payload);
    if (this.#record) {
      this.#record.events += 1;
      this.#record.bytes += this.#head.length + payload.length;
    }
  }

  end(end: StreamEnd): void {
    this.#end(end);
  }

  /** Resolves when the subscription ends, and rejects when it ends with an error. */
  async next(): Promise<IteratorReturnResult<undefined>> {
    const end = await this.#ended;
    if (end.kind === 'error') {
      if (end.isTooSlow) {
        // After graphql-ws has sent the `error` message.
        setImmediate(() => this.#writer.closeSlowReader());
      }
      throw end.error;
    }
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#close();
    return { done: true, value: undefined };
  }

  async throw(error: unknown): Promise<never> {
    this.#close();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
