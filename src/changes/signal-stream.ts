import type { Viewer } from '../viewer.ts';
import { LOG_START } from './cursor.ts';
import { Delivery, type EventStream, type Sink, type StreamEnd } from './delivery.ts';
import type { DeliveryLoop } from './delivery-loop.ts';
import type { StreamEvent } from './filter.ts';
import type { Renderer } from './results.ts';

const SIGNAL_BYTES = 200;

/** A subscription to signals, which are not in the log. A slow reader receives only the latest signal. */
export class SignalStream implements EventStream {
  readonly #loop: DeliveryLoop;
  readonly #viewer: Viewer;
  readonly #hasAccess: () => boolean;
  readonly #onEnd: () => void;
  #delivery: Delivery | null = null;
  #onEnded: (end: StreamEnd) => void = () => undefined;
  #ended: StreamEnd | null = null;
  /** The latest signal that arrived before the stream was started. */
  #pending: StreamEvent | null = null;

  /** `hasAccess` returns whether the viewer may still receive signals; `onEnd` is called once. */
  constructor(loop: DeliveryLoop, viewer: Viewer, hasAccess: () => boolean, onEnd: () => void) {
    this.#loop = loop;
    this.#viewer = viewer;
    this.#hasAccess = hasAccess;
    this.#onEnd = onEnd;
  }

  start(renderer: Renderer, sink: Sink): void {
    if (this.#ended) {
      sink.end(this.#ended);
      return;
    }
    const group = this.#loop.results.group(renderer);
    const owner = {
      viewer: this.#viewer,
      mayReceive: this.#hasAccess,
      onProgress: () => undefined,
      onDrained: () => undefined,
      onLast: () => this.close(),
      onFailure: (error: Error) => this.fail(error),
      onShed: () => this.#delivery?.clear(),
    };
    this.#delivery = new Delivery(this.#loop, owner, group, sink);
    if (this.#pending) {
      this.push(this.#pending);
    }
  }

  push(signal: StreamEvent): void {
    const delivery = this.#delivery;
    if (!delivery) {
      this.#pending = signal;
    } else {
      delivery.clear();
      delivery.push(delivery.group.item(signal, { position: LOG_START, previous: LOG_START, size: SIGNAL_BYTES }));
    }
  }

  /** Ends the stream when its viewer no longer has access to it. */
  checkAccess(): void {
    if (!this.#hasAccess()) {
      this.close();
    }
  }

  close(): void {
    this.#end({ kind: 'complete' });
  }

  fail(error: Error): void {
    this.#end({ kind: 'error', error, isTooSlow: false });
  }

  onceEnded(callback: (end: StreamEnd) => void): void {
    if (this.#ended) {
      callback(this.#ended);
    } else {
      this.#onEnded = callback;
    }
  }

  #end(end: StreamEnd): void {
    if (!this.#ended) {
      this.#ended = end;
      this.#onEnd();
      this.#onEnded(end);
      this.#delivery?.close(end);
    }
  }
}
