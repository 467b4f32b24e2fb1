/** How many events, and about how many bytes of them, may wait for a slow reader. */
export interface StreamLimits {
  readonly maxEvents: number;
  readonly maxBytes: number;
}

/** How long a reader may take nothing while more events are skipped than may wait for it, in milliseconds. */
const STALL_TIMEOUT_MS = 2_000;

/** Whether so many events of so many bytes are more than may wait for a reader. */
export function exceedsLimits({ maxEvents, maxBytes }: StreamLimits, events: number, bytes: number): boolean {
  return events > maxEvents || bytes > maxBytes;
}

/** Detects a reader that takes nothing while a full queue of further events is skipped. */
export class StallDetector {
  readonly #limits: StreamLimits;
  readonly #onStall: () => void;
  #events = 0;
  #bytes = 0;
  #timer: NodeJS.Timeout | null = null;

  /** `onStall` is called when the reader has taken nothing for too long. */
  constructor(limits: StreamLimits, onStall: () => void) {
    this.#limits = limits;
    this.#onStall = onStall;
  }

  /** Counts an event that was left in the log. */
  countSkipped(bytes: number): void {
    this.#events += 1;
    this.#bytes += bytes;
    if (exceedsLimits(this.#limits, this.#events, this.#bytes)) {
      this.#timer ??= setTimeout(this.#onStall, STALL_TIMEOUT_MS).unref();
    }
  }

  /** Starts over: the reader took something, or does not have to. */
  reset(): void {
    this.#events = 0;
    this.#bytes = 0;
    if (this.#timer) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
  }
}
