import type { OperationDocument, OperationVariables } from './document.ts';
import { OperationError } from './errors.ts';
import type { OperationResponse } from './http-request.ts';
import { type ResumeOptions, resume } from './resume.ts';
import type { Transport } from './transport.ts';

/** How many events wait for a slow reader before the subscription pauses. Later ones are resumed from the server. */
const MAX_WAITING = 1_000;

export interface ResumableOptions extends ResumeOptions {
  /** Ends the iteration when it is aborted. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Subscribes, and yields the data of each event: across losses of the connection, restarts of the server and refreshed tokens, in order, each change once. The
 * operation declares `$after: String`, passes it to its field, and selects `cursor`. A reader that is slow is sent no more than it reads.
 *
 * @throws {SignedOutError} when the credential is refused and cannot be refreshed
 * @throws {OperationError} when the server refuses the operation, and for `RESYNC_REQUIRED` without `onResync`
 */
export async function* resumable<Data = unknown, Variables extends OperationVariables = OperationVariables>(
  transport: Transport,
  document: OperationDocument<Data, Variables>,
  variables?: Variables,
  { signal, ...options }: ResumableOptions = {},
): AsyncGenerator<Data, void, undefined> {
  const queue = new EventQueue<OperationResponse>();
  let isPaused = false;
  const subscription = resume(
    transport,
    { query: transport.textOf(document), variables },
    {
      next: (result) => {
        queue.push(result);
        if (queue.length >= MAX_WAITING) {
          isPaused = true;
          subscription.pause();
        }
      },
      error: (error) => queue.end(error),
      complete: () => queue.end(null),
    },
    options,
  );
  const stop = (): void => queue.end(null);
  signal?.addEventListener('abort', stop);
  try {
    while (!signal?.aborted) {
      const result = queue.shift();
      if (result) {
        if (!result.data) {
          throw new OperationError(result.errors ?? []);
        }
        yield result.data as Data;
      } else if (isPaused) {
        isPaused = false;
        subscription.restart();
      } else if (!(await queue.wait())) {
        return;
      }
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    subscription.stop();
  }
}

/** The events that wait for the reader. */
class EventQueue<Value> {
  readonly #values: Value[] = [];
  #ended: { readonly error: Error | null } | null = null;
  #wake: () => void = () => undefined;

  get length(): number {
    return this.#values.length;
  }

  push(value: Value): void {
    this.#values.push(value);
    this.#wake();
  }

  end(error: Error | null): void {
    this.#ended ??= { error };
    this.#wake();
  }

  shift(): Value | undefined {
    return this.#values.shift();
  }

  /** Waits for a value. Returns false after the end, and throws the error that ended it. */
  async wait(): Promise<boolean> {
    if (!this.#ended && this.#values.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#values.length === 0 && this.#ended?.error) {
      throw this.#ended.error;
    }
    return this.#values.length > 0;
  }
}
