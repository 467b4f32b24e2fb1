import { LRUCache } from 'lru-cache';
import type { LogPosition } from './cursor.ts';
import type { ReplayBatch } from './log.ts';

/** The bounds of the cache in bytes and segments, and the time to live of a segment after its last use in milliseconds. */
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_SEGMENTS = 1_000;
const TTL_MS = 5_000;

/** The changes of one selection after `from` up to `upTo`. */
interface Segment extends ReplayBatch {
  readonly selection: string;
  readonly from: LogPosition;
}

/** A cache of log segments that were read recently, for streams that replay the same changes. */
export class Segments {
  readonly #bySelection = new Map<string, Set<Segment>>();
  readonly #cache = new LRUCache<Segment, true>({
    max: MAX_SEGMENTS,
    maxSize: MAX_BYTES,
    ttl: TTL_MS,
    ttlAutopurge: true,
    updateAgeOnGet: true,
    dispose: (_value, segment) => this.#remove(segment),
  });

  /** Returns the cached changes of a selection that directly follow a position; null when there are none. */
  find(selection: string, from: LogPosition): ReplayBatch | null {
    for (const segment of this.#bySelection.get(selection) ?? []) {
      if (segment.from.seq <= from.seq && segment.upTo.seq > from.seq) {
        this.#cache.get(segment);
        return { changes: segment.changes.filter(({ seq }) => seq > from.seq), upTo: segment.upTo };
      }
    }
    return null;
  }

  add(selection: string, from: LogPosition, batch: ReplayBatch): void {
    if (batch.upTo.seq <= from.seq) {
      return;
    }
    const segment: Segment = { selection, from, ...batch };
    const segments = this.#bySelection.get(selection) ?? new Set();
    this.#bySelection.set(selection, segments);
    segments.add(segment);
    const size = batch.changes.reduce((sum, change) => sum + change.size, 1);
    this.#cache.set(segment, true, { size });
    if (!this.#cache.has(segment)) {
      this.#remove(segment);
    }
  }

  clear(): void {
    this.#cache.clear();
    this.#bySelection.clear();
  }

  #remove(segment: Segment): void {
    const segments = this.#bySelection.get(segment.selection);
    if (segments?.delete(segment) && segments.size === 0) {
      this.#bySelection.delete(segment.selection);
    }
  }
}
