import { retryDelay, wait } from './backoff.ts';
import { isResumable, type OperationRequest } from './document.ts';
import { OperationError, type ResponseError } from './errors.ts';
import type { OperationResponse } from './http-request.ts';
import { POSITION } from './operations.ts';
import type { Pausable, ResultSink, Transport } from './transport.ts';

/** How many cursors are kept, by which an event that is delivered again is recognised. */
const KEPT_CURSORS = 1_000;
/** How often something is tried again that may fail for ever. */
const MAX_ATTEMPTS = 5;
/** Failures before a subscription that lasted as long are over, in milliseconds. */
const STABLE_MS = 60_000;

export interface ResumeOptions {
  /**
   * Called when missed events can no longer be delivered (`RESYNC_REQUIRED`): load the data again, and return the `cursor` that was selected with it. For null,
   * the subscription goes on from where the log was before the call. Without this function, the subscription ends with the error.
   */
  readonly onResync?: (() => Promise<string | null> | string | null) | undefined;
}

/** A subscription that goes on after each loss of the connection. */
export interface Resumed {
  readonly stop: () => void;
  /** Ends the subscription at the server until `restart`, which resumes it where it was. */
  readonly pause: () => void;
  /** Resumes the subscription, after as many calls as of `pause`. */
  readonly restart: () => void;
}

/** Subscribes by an operation with the variable `$after`, and resumes it by the cursor of its last event. Repeated events are left out. */
export function resume(
  transport: Transport,
  request: OperationRequest,
  sink: ResultSink,
  options: ResumeOptions = {},
): Resumed {
  const subscription = new ResumedSubscription(transport, request, sink, options);
  subscription.begin();
  return subscription;
}

class ResumedSubscription implements Resumed, Pausable {
  readonly #transport: Transport;
  readonly #request: OperationRequest;
  readonly #sink: ResultSink;
  readonly #options: ResumeOptions;
  readonly #isResumable: boolean;
  /** The last cursors, the oldest first. */
  readonly #seen = new Set<string>();
  #after: string | null;
  #unsubscribe: () => void = () => undefined;
  /** Aborted when the subscription is stopped or paused. */
  #run = new AbortController();
  readonly #remove: () => void;
  #pauses = 0;
  #isOver = false;
  /** How often each error has occurred since the last event, or since the subscription lasted for some time. */
  readonly #failures = new Map<string | null, number>();
  /** When the subscription was sent. */
  #startedAt = 0;

  constructor(transport: Transport, request: OperationRequest, sink: ResultSink, options: ResumeOptions) {
    this.#transport = transport;
    this.#request = request;
    this.#sink = sink;
    this.#options = options;
    this.#isResumable = isResumable(request);
    const after = request.variables?.['after'];
    this.#after = typeof after === 'string' ? after : null;
    this.#remove = transport.addPausable(this);
  }

  stop = (): void => {
    this.#isOver = true;
    this.#remove();
    this.#end();
  };

  pause = (): void => {
    this.#pauses += 1;
    this.#end();
  };

  restart = (): void => {
    this.#pauses -= 1;
    if (this.#pauses === 0) {
      this.begin();
    }
  };

  begin(): void {
    if (!this.#isOver) {
      this.#run = new AbortController();
      const { signal } = this.#run;
      this.#start(signal).catch((error: unknown) => !signal.aborted && this.#fail(error));
    }
  }

  #end(): void {
    this.#run.abort();
    this.#unsubscribe();
  }

  async #start(signal: AbortSignal): Promise<void> {
    if (this.#isResumable && this.#after === null) {
      // Otherwise nothing would say where to go on when the connection is lost before the first event.
      this.#after = await this.#position(signal);
    }
    if (signal.aborted) {
      return;
    }
    this.#startedAt = Date.now();
    this.#unsubscribe = this.#transport.execute(() => this.#payload(), {
      next: (result) => !signal.aborted && this.#next(result),
      error: (error) => !signal.aborted && this.#recover(error, signal),
      complete: () => {
        if (!signal.aborted) {
          this.stop();
          this.#sink.complete();
        }
      },
    });
  }

  #payload(): OperationRequest {
    const { variables } = this.#request;
    return this.#isResumable ? { ...this.#request, variables: { ...variables, after: this.#after } } : this.#request;
  }

  #next(result: OperationResponse): void {
    if (result.errors && !result.data) {
      this.#unsubscribe();
      this.#recover(new OperationError(result.errors as ResponseError[]), this.#run.signal);
      return;
    }
    const cursor = cursorOf(result);
    if (cursor !== null) {
      if (this.#seen.has(cursor)) {
        return;
      }
      this.#seen.add(cursor);
      if (this.#seen.size > KEPT_CURSORS) {
        this.#seen.delete(this.#seen.values().next().value as string);
      }
      this.#after = cursor;
    }
    this.#failures.clear();
    this.#sink.next(result);
  }

  #recover(error: Error, signal: AbortSignal): void {
    this.#recovered(error, signal).then(
      () => !signal.aborted && this.begin(),
      (cause: unknown) => !signal.aborted && this.#fail(cause),
    );
  }

  /** Returns when the subscription can be started again. Throws the error that ends it. */
  async #recovered(error: Error, signal: AbortSignal): Promise<void> {
    const code = error instanceof OperationError ? error.code : null;
    if (Date.now() - this.#startedAt >= STABLE_MS) {
      this.#failures.clear();
    }
    const failures = (this.#failures.get(code) ?? 0) + 1;
    this.#failures.set(code, failures);
    if (code === 'OVERLOADED' || code === 'RATE_LIMITED') {
      const seconds = Number((error as OperationError).errors[0]?.extensions?.['retryAfter']);
      await this.#whileCatchingUp(() => wait(Math.max(seconds * 1000 || 0, retryDelay(failures)), signal));
      return;
    }
    if (failures > MAX_ATTEMPTS) {
      throw error;
    }
    if (code === 'RESYNC_REQUIRED' || (code === 'BAD_CURSOR' && this.#isResumable)) {
      await this.#whileCatchingUp(() => this.#resync(error, signal));
    } else if (code === 'UNAUTHENTICATED' && failures === 1 && this.#transport.refuseToken()) {
      // The next connection has another token.
      return;
    } else if (code === 'INTERNAL') {
      await wait(retryDelay(failures), signal);
    } else {
      throw error;
    }
  }

  async #resync(error: Error, signal: AbortSignal): Promise<void> {
    const { onResync } = this.#options;
    if (!onResync) {
      throw error;
    }
    for (let attempt = 1; !signal.aborted; attempt++) {
      // Before the data is loaded: an event that comes twice changes nothing, and one that is left out is lost.
      const position = await this.#position(signal);
      try {
        this.#after = (await onResync()) || position;
        return;
      } catch (failure) {
        if (attempt === MAX_ATTEMPTS) {
          throw failure;
        }
        await wait(retryDelay(attempt), signal);
      }
    }
  }

  /** Returns the present position of the log. Rejects when the signal is aborted. */
  #position(signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const stop = this.#transport.execute(() => ({ query: POSITION }), {
        next: ({ data, errors }) => {
          const cursor = data?.['cursor'];
          if (typeof cursor === 'string') {
            resolve(cursor);
          } else {
            reject(new OperationError((errors ?? []) as ResponseError[]));
          }
        },
        error: reject,
        complete: () => reject(new Error('The server sent no cursor.')),
      });
      signal.addEventListener('abort', () => {
        stop();
        reject(signal.reason);
      });
    });
  }

  async #whileCatchingUp(work: () => Promise<void>): Promise<void> {
    const release = this.#transport.hold();
    try {
      await work();
    } finally {
      release();
    }
  }

  #fail(error: unknown): void {
    if (!this.#isOver) {
      this.stop();
      this.#sink.error(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

/** Returns the cursor of an event; null for events without one. */
function cursorOf({ data }: OperationResponse): string | null {
  for (const event of Object.values(data ?? {})) {
    const cursor = (event as { cursor?: unknown } | null)?.cursor;
    if (typeof cursor === 'string') {
      return cursor;
    }
  }
  return null;
}
