import type { ChangeLog, HorizonHolder, Poll } from './log.ts';

/** How long the horizon may hold back committed changes before the feed looks for the transaction that holds it, in milliseconds. */
const HOLDER_QUERY_DELAY_MS = 5_000;

export interface FeedReports {
  /** Reports a failure of background work, which is retried. */
  readonly onFailure: (error: unknown) => void;
  readonly onWarning: (message: string, details: Record<string, unknown>) => void;
}

/** Measures the lag of the feed behind the committed changes. */
export class FeedLag {
  readonly #log: ChangeLog;
  readonly #reports: FeedReports;
  #failingSince: number | null = null;
  #behindSince: number | null = null;
  #heldBackSince: number | null = null;
  #holder: HorizonHolder | null = null;
  #holderQueriedAt = Number.NEGATIVE_INFINITY;
  #changes = 0;

  constructor(log: ChangeLog, reports: FeedReports) {
    this.#log = log;
    this.#reports = reports;
  }

  /** The time for which committed changes have not been handled, in milliseconds; 0 when all are. */
  get ms(): number {
    const since = Math.min(
      this.#behindSince ?? Number.POSITIVE_INFINITY,
      this.#heldBackSince ?? Number.POSITIVE_INFINITY,
    );
    return Number.isFinite(since) ? performance.now() - since : 0;
  }

  /** The approximate number of changes that have not been handled. */
  get changes(): number {
    return this.#changes;
  }

  /** The transaction that has held the horizon for some seconds, if there is one. */
  get holder(): HorizonHolder | null {
    return this.#holder;
  }

  /** The time for which the log could not be read, in milliseconds; 0 when it can. */
  get failingMs(): number {
    return this.#failingSince === null ? 0 : performance.now() - this.#failingSince;
  }

  /** Records a successful poll. */
  record({ upTo, head, heldBackSince }: Poll): void {
    const now = performance.now();
    this.#failingSince = null;
    this.#changes = Math.max(0, head.seq - upTo.seq);
    this.#behindSince = this.#changes > 0 ? (this.#behindSince ?? now) : null;
    this.#heldBackSince = heldBackSince === null ? null : now - Math.max(0, Date.now() - heldBackSince);
    if (this.#heldBackSince === null) {
      this.#holder = null;
    } else if (
      now - this.#heldBackSince > HOLDER_QUERY_DELAY_MS &&
      now - this.#holderQueriedAt > HOLDER_QUERY_DELAY_MS
    ) {
      this.#holderQueriedAt = now;
      this.#findHolder();
    }
  }

  /** Records a failed poll; the first one in a row is reported. */
  recordFailure(error: unknown): void {
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
        this.#reports.onWarning(
          'A running transaction holds back committed changes: subscribers receive them when it ends. End it if it should not run this long.',
          { ...holder },
        );
      }
    }, this.#reports.onFailure);
  }
}
