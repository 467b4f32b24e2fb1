/** Missed events have arrived once fewer events than these arrive in this time, in milliseconds. */
const WINDOW_MS = 250;
const EVENTS = 25;

/** Distinguishes `catching-up` from `live` by the rate of events: the server does not mark the last missed event. */
export class CatchUp {
  readonly #report: (status: 'catching-up' | 'live') => void;
  #window: ReturnType<typeof setTimeout> | undefined;
  #received = 0;
  #holds = 0;

  constructor(report: (status: 'catching-up' | 'live') => void) {
    this.#report = report;
  }

  /** Counts a received event. */
  received(): void {
    this.#received += 1;
  }

  /** Keeps `catching-up` until the returned function is called, on a connection that is `live` too. */
  hold(isLive: boolean): () => void {
    this.#holds += 1;
    if (isLive) {
      this.start();
    }
    let isHeld = true;
    return () => {
      this.#holds -= isHeld ? 1 : 0;
      isHeld = false;
    };
  }

  /** Reports `catching-up`, and `live` later. */
  start(): void {
    this.#report('catching-up');
    this.#measure();
  }

  stop(): void {
    clearTimeout(this.#window);
  }

  #measure(): void {
    this.#received = 0;
    clearTimeout(this.#window);
    this.#window = setTimeout(() => {
      if (this.#holds > 0 || this.#received >= EVENTS) {
        this.#measure();
      } else {
        this.#report('live');
      }
    }, WINDOW_MS);
  }
}
