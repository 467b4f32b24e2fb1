import { retryDelay, wait } from './backoff.ts';
import { type ApplyOptions, applyChange, type ChangeEvent, eventOf } from './change.ts';
import type { OperationDocument, OperationVariables } from './document.ts';
import { OperationError, SignedOutError } from './errors.ts';
import { resumable } from './resumable.ts';
import type { Transport } from './transport.ts';

/** How often a snapshot is requested before its failure is reported. */
const MAX_ATTEMPTS = 5;

/** What {@link snapshotThenStream} yields. */
export interface LiveData<Data> {
  /** The data of the query at this moment. */
  readonly data: Data;
  /** The change that was applied to it; null for a snapshot. */
  readonly event: ChangeEvent | null;
}

export interface SnapshotThenStreamOptions<Data, Variables, Change, ChangeVariables> extends ApplyOptions {
  /** The query of the snapshot, which selects `cursor` beside the data. */
  readonly query: OperationDocument<Data, Variables>;
  readonly variables?: Variables | undefined;
  /** The subscription to changes of the same data, with the variable `$after`. Its objects have the fields that the query selects. */
  readonly subscription: OperationDocument<Change, ChangeVariables>;
  /** The variables of the subscription besides `after`. */
  readonly subscriptionVariables?: Omit<ChangeVariables, 'after'> | undefined;
  /** Ends the iteration when it is aborted. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Loads data, and yields it again after each change, without a gap. When missed changes can no longer be delivered, it loads another snapshot and goes on
 * after that.
 *
 * @throws {SignedOutError} when the credential is refused and cannot be refreshed
 * @throws {OperationError} when the server refuses one of the operations
 */
export async function* snapshotThenStream<
  Data = Record<string, unknown>,
  Variables extends OperationVariables = OperationVariables,
  Change = Record<string, unknown>,
  ChangeVariables extends OperationVariables = OperationVariables,
>(
  transport: Transport,
  options: SnapshotThenStreamOptions<Data, Variables, Change, ChangeVariables>,
): AsyncGenerator<LiveData<Data>, void, undefined> {
  const { query, variables, subscription, subscriptionVariables, signal, ...applyOptions } = options;
  const load = () => loadSnapshot(() => transport.request(query, variables, signal), signal);
  for (let resyncs = 0; ; ) {
    let data = await load();
    const after = cursorOf(data);
    yield { data, event: null };
    try {
      const changes = resumable(
        transport,
        transport.textOf(subscription),
        { ...subscriptionVariables, after },
        { signal },
      ) as AsyncGenerator<Change>;
      for await (const change of changes) {
        resyncs = 0;
        const event = eventOf(change);
        data = applyChange(data, event, applyOptions);
        yield { data, event };
      }
      return;
    } catch (error) {
      resyncs += 1;
      if (!isResync(error) || resyncs > MAX_ATTEMPTS) {
        throw error;
      }
      await (resyncs > 1 && wait(retryDelay(resyncs), signal));
    }
  }
}

/** Calls a function that loads a snapshot, again after failures of the network. */
export async function loadSnapshot<Data>(load: () => Promise<Data>, signal?: AbortSignal): Promise<Data> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await load();
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || signal?.aborted || !isTransient(error)) {
        throw error;
      }
      await wait(retryDelay(attempt), signal);
    }
  }
}

/** Whether the changes since a cursor can no longer be delivered. */
function isResync(error: unknown): error is OperationError {
  return error instanceof OperationError && (error.code === 'RESYNC_REQUIRED' || error.code === 'BAD_CURSOR');
}

/** Whether a request may succeed when it is sent again. */
function isTransient(error: unknown): boolean {
  if (error instanceof OperationError) {
    return error.code === 'OVERLOADED' || error.code === 'RATE_LIMITED';
  }
  return !(error instanceof SignedOutError);
}

/** Returns the cursor that was selected with a snapshot. */
export function cursorOf(data: unknown): string {
  const cursor = (data as { cursor?: unknown } | null | undefined)?.cursor;
  if (typeof cursor !== 'string') {
    throw new TypeError('The snapshot has no cursor: select `cursor` in the query, beside the data.');
  }
  return cursor;
}
