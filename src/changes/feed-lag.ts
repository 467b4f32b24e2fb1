import type { ChangeLog, HorizonHolder, Poll } from './log.ts';

/** How long committed changes may be kept back before it is worth asking which transaction does it, in milliseconds. */
const ASK_AFTER_MS = 5_000;

export interface FeedReports {
  /** Work in the background failed; it is tried again. */
  readonly onFailure: (error: unknown) => void;
  readonly onWarning: (message: string, details: Record<string, unknown>) => void;
}

/** How far the feed is behind what is committed. */
export class FeedLag {
  readonly #log: ChangeLog;
  readonly #reports: FeedReports;
  #failingSince: number | null = null;
  #behindSince: number | null = null;
  #heldBackSince: number | null = null;
  #holder: HorizonHolder | null = null;
  #askedAt = Number.NEGATIVE_INFINITY;
  #changes = 0;

  constructor(log: ChangeLog, reports: FeedReports) {
    this.#log = log;
    this.#reports = reports;
  }

  /** For how long committed changes have been waiting, in milliseconds; 0 when none waits. */
  get ms(): number {
    const since = Math.min(
      this.#behindSince ?? Number.POSITIVE_INFINITY,
      this.#heldBackSince ?? Number.POSITIVE_INFINITY,
    );
    return Number.isFinite(since) ? performance.now() - since : 0;
  }

  /** About how many changes wait to be read. */
  get changes(): number {
    return this.#changes;
  }

  /** The transaction that keeps committed changes back, where one has done so for some seconds. */
  get holder(): HorizonHolder | null {
    return this.#holder;
  }

  /** For how long the log could not be read, in milliseconds; 0 when it can. */
  get failingMs(): number {
    return this.#failingSince === null ? 0 : performance.now() - this.#failingSince;
  }

  /** Takes note of a poll. */
  note({ upTo, head, heldBackSince }: Poll): void {
    const now = performance.now();
    this.#failingSince = null;
    this.#changes = Math.max(0, head.seq - upTo.seq);
    this.#behindSince = this.#changes > 0 ? (this.#behindSince ?? now) : null;
    this.#heldBackSince = heldBackSince === null ? null : now - Math.max(0, Date.now() - heldBackSince);
    if (this.#heldBackSince === null) {
      this.#holder = null;
    } else if (now - this.#heldBackSince > ASK_AFTER_MS && now - this.#askedAt > ASK_AFTER_MS) {
      this.#askedAt = now;
      this.#findHolder();
    }
  }

  /** Takes note of a poll that failed; the first failure of a row is reported. */
  fail(error: unknown): void {
    if (this.#failingSince === null) {
      this.#failingSince = performance.now();
      this.#reports.onFailure(error);
    }
  }

  #findHolder(): void {
    const isFirst = this.#holder === null;
    this.#log.findHorizonHolder().then((holder) => {
      this.#holder = holder;
      if (isFirst && holder) {
        this.#reports.onWarning('A transaction that still runs keeps back committed changes.', { ...holder });
      }
    }, this.#reports.onFailure);
  }
}
