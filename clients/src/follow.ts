import type { ResumeOptions } from './resume.ts';
import { cursorOf, loadSnapshot } from './snapshot.ts';

export interface FollowOptions {
  /** Called when loading or following the data has failed for good. Nothing is called afterwards. */
  readonly onError?: ((error: Error) => void) | undefined;
  /** Called when the server has ended the subscription, for example when the user has left a chat. */
  readonly onComplete?: (() => void) | undefined;
  /** Called with each snapshot: the first one, and those after `RESYNC_REQUIRED`. */
  readonly onSnapshot?: ((data: unknown) => void) | undefined;
}

interface Followed {
  /** Loads the snapshot, which has a `cursor`. */
  readonly load: () => Promise<unknown>;
  /** Subscribes after a cursor. Returns the function that unsubscribes. */
  readonly open: (
    after: string,
    onResync: NonNullable<ResumeOptions['onResync']>,
    sink: { readonly error: (error: Error) => void; readonly complete: () => void },
  ) => () => void;
}

/** Loads a snapshot, and then subscribes to its changes by a client library. Returns the function that ends this. */
export function follow({ onError, onComplete, onSnapshot }: FollowOptions, { load, open }: Followed): () => void {
  const controller = new AbortController();
  const { signal } = controller;
  let unsubscribe: () => void = () => undefined;
  const loadCursor = async (): Promise<string> => {
    const data = await load();
    const cursor = cursorOf(data);
    if (!signal.aborted) {
      onSnapshot?.(data);
    }
    return cursor;
  };
  const finish = (report?: () => void): void => {
    if (!signal.aborted) {
      controller.abort();
      unsubscribe();
      report?.();
    }
  };
  const fail = (error: Error): void =>
    finish(() => {
      if (onError) {
        onError(error);
      } else {
        throw error;
      }
    });
  loadSnapshot(loadCursor, signal).then(
    (after) => {
      if (!signal.aborted) {
        unsubscribe = open(after, loadCursor, { error: fail, complete: () => finish(onComplete) });
      }
    },
    (error: unknown) => fail(error as Error),
  );
  return () => finish();
}
