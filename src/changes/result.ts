import type { Viewer, ViewerReads } from '../viewer.ts';
import type { LogPosition } from './cursor.ts';
import type { StreamEvent } from './filter.ts';
import type { ResultGroup } from './results.ts';

/** What a result takes in memory for each character: as text, and as the bytes that are sent. */
const BYTES_PER_CHARACTER = 3;
const OVERHEAD_BYTES = 200;

/** The text of an event, shared by the viewers whom its rendering could not tell apart. */
export class Result {
  readonly text: string | null;
  readonly reads: ViewerReads;
  readonly #encoded = new Map<string, Buffer>();

  constructor(text: string | null, reads: ViewerReads) {
    this.text = text;
    this.reads = reads;
  }

  /** The bytes that a transport sends for the text, made once for each format. */
  encode(format: string, encode: (text: string) => string): Buffer {
    let bytes = this.#encoded.get(format);
    if (!bytes) {
      bytes = Buffer.from(encode(this.text ?? ''));
      this.#encoded.set(format, bytes);
    }
    return bytes;
  }
}

/** Where the event of an item comes from. */
export interface ItemOrigin {
  /** The position of its change. */
  readonly position: LogPosition;
  /** A position before it, after which no other change lies that concerns the subscription. */
  readonly previous: LogPosition;
  /** About how much memory the event takes while it waits, in bytes. */
  readonly size: number;
}

/** An event on its way to the subscriptions that share its results. */
export class Item {
  readonly event: StreamEvent;
  readonly position: LogPosition;
  readonly previous: LogPosition;
  readonly size: number;
  readonly group: ResultGroup;
  /** How many subscriptions have it in their queue. */
  waiting = 0;
  #shared: Result[] = [];
  #personal: Map<number, Result> | null = null;

  constructor(group: ResultGroup, event: StreamEvent, { position, previous, size }: ItemOrigin) {
    this.group = group;
    this.event = event;
    this.position = position;
    this.previous = previous;
    this.size = size;
  }

  /** The result for a viewer, once it is rendered. */
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

  /** What it takes in memory with its results, in bytes. */
  get bytes(): number {
    let { size: bytes } = this;
    for (const { text } of [...this.#shared, ...(this.#personal?.values() ?? [])]) {
      bytes += OVERHEAD_BYTES + BYTES_PER_CHARACTER * (text?.length ?? 0);
    }
    return bytes;
  }
}
