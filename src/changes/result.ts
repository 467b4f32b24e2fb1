import type { Viewer, ViewerReads } from '../viewer.ts';
import type { LogPosition } from './cursor.ts';
import type { StreamEvent } from './filter.ts';

/** The memory that a result takes for each character, in bytes: as text, and as the encoded frame. */
const BYTES_PER_CHARACTER = 3;
const OVERHEAD_BYTES = 200;

/** The rendered text of an event, shared by all viewers for whom the rendering read the same values. */
export class Result {
  readonly text: string | null;
  readonly reads: ViewerReads;
  readonly #encoded = new Map<string, Buffer>();

  constructor(text: string | null, reads: ViewerReads) {
    this.text = text;
    this.reads = reads;
  }

  /** Returns the bytes that a transport sends for the text, encoded once for each format. */
  encode(format: string, encode: (text: string) => string): Buffer {
    let bytes = this.#encoded.get(format);
    if (!bytes) {
      bytes = Buffer.from(encode(this.text ?? ''));
      this.#encoded.set(format, bytes);
    }
    return bytes;
  }
}

/** The position and the size of an item's change. */
export interface ItemOrigin {
  /** The position of its change. */
  readonly position: LogPosition;
  /** A position before it, such that no change in between concerns the subscription: a replay from there delivers the item next. */
  readonly previous: LogPosition;
  /** The approximate memory that the event takes while it is queued, in bytes. */
  readonly size: number;
}

/** The group of subscriptions that share the results of an item. */
export interface ItemGroup {
  /** Drops the results of an item that the result cache evicted. */
  evict(item: Item): void;
}

/** An event in the queues of the subscriptions that share its results. */
export class Item {
  readonly event: StreamEvent;
  readonly position: LogPosition;
  readonly previous: LogPosition;
  readonly size: number;
  readonly group: ItemGroup;
  /** The number of subscriptions that have the item in their queue. */
  waiting = 0;
  #shared: Result[] = [];
  #personal: Map<number, Result> | null = null;

  constructor(group: ItemGroup, event: StreamEvent, { position, previous, size }: ItemOrigin) {
    this.group = group;
    this.event = event;
    this.position = position;
    this.previous = previous;
    this.size = size;
  }

  /** Returns the result for a viewer; null when it is not rendered yet. */
  find(viewer: Viewer): Result | null {
    for (const result of this.#shared) {
      if (result.reads.fits(viewer)) {
        return result;
      }
    }
    const personal = this.#personal && viewer.kind === 'user' ? this.#personal.get(viewer.id) : undefined;
    return personal?.reads.fits(viewer) ? personal : null;
  }

  add(result: Result, viewer: Viewer): void {
    if (result.reads.isPersonal && viewer.kind === 'user') {
      this.#personal ??= new Map();
      this.#personal.set(viewer.id, result);
    } else {
      this.#shared.push(result);
    }
  }

  clear(): void {
    this.#shared = [];
    this.#personal = null;
  }

  get hasResults(): boolean {
    return this.#shared.length > 0 || this.#personal !== null;
  }

  /** The approximate memory that the item takes with its results, in bytes. */
  get bytes(): number {
    let { size: bytes } = this;
    for (const { text } of [...this.#shared, ...(this.#personal?.values() ?? [])]) {
      bytes += OVERHEAD_BYTES + BYTES_PER_CHARACTER * (text?.length ?? 0);
    }
    return bytes;
  }
}
