import type { Sink, StreamEnd } from '../changes/delivery.ts';
import type { ChangeEvent, EventAction, StreamEvent } from '../changes/filter.ts';
import type { Result } from '../changes/result.ts';
import type { SocketWriter } from '../sockets/socket-writer.ts';
import { broadcastHead, broadcastTail, type RequestKey } from './frames.ts';

/** The members that all broadcasts of one subscription have in common. */
interface Broadcast {
  readonly key: RequestKey;
  readonly model: string;
  readonly withCursors: boolean;
}

/** Sends the broadcasts of one subscription. */
export class BroadcastSink implements Sink {
  readonly #writer: SocketWriter;
  readonly #broadcast: Broadcast;
  readonly #onEnd: (end: StreamEnd) => void;
  readonly #heads = new Map<EventAction, Buffer>();

  constructor(writer: SocketWriter, broadcast: Broadcast, onEnd: (end: StreamEnd) => void) {
    this.#writer = writer;
    this.#broadcast = broadcast;
    this.#onEnd = onEnd;
  }

  isWritable(): boolean {
    return this.#writer.isWritable;
  }

  onceWritable(callback: () => void): void {
    this.#writer.onceWritable(callback);
  }

  send(result: Result, event: StreamEvent): void {
    const { action, cursor } = event as ChangeEvent;
    this.#writer.send(
      this.#headOf(action),
      result.encode('instance', (text) => text),
      Buffer.from(broadcastTail(this.#broadcast.withCursors ? cursor : null)),
    );
  }

  end(end: StreamEnd): void {
    this.#onEnd(end);
  }

  #headOf(action: EventAction): Buffer {
    let head = this.#heads.get(action);
    if (!head) {
      head = Buffer.from(broadcastHead(this.#broadcast.key, this.#broadcast.model, action));
      this.#heads.set(action, head);
    }
    return head;
  }
}
