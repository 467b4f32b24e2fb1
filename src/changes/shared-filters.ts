import type { Change, RowChange } from './change.ts';
import type { LogPosition } from './cursor.ts';
import type { ChangeEvent, Interest, SubscriptionFilter } from './filter.ts';
import type { ResultGroup } from './results.ts';
import { Routes } from './routes.ts';
import type { Stream } from './stream.ts';

/** An error of a filter, with the streams that use the filter. */
export interface DispatchFailure {
  readonly streams: readonly Stream[];
  readonly error: unknown;
}

/** The streams whose filters have an equal key, and so make the same events of the same changes. */
class SharedFilter {
  readonly filter: SubscriptionFilter;
  interests: readonly Interest[];
  readonly live = new Map<ResultGroup, Set<Stream>>();
  readonly catchingUp = new Set<Stream>();

  constructor(filter: SubscriptionFilter) {
    this.filter = filter;
    this.interests = filter.interests();
  }

  get isUnused(): boolean {
    return this.live.size === 0 && this.catchingUp.size === 0;
  }

  get streams(): Stream[] {
    return [...this.catchingUp, ...[...this.live.values()].flatMap((streams) => [...streams])];
  }

  setLive(stream: Stream, isLive: boolean): void {
    const { group } = stream;
    this.remove(stream);
    if (!isLive || !group) {
      this.catchingUp.add(stream);
      return;
    }
    const streams = this.live.get(group) ?? new Set();
    this.live.set(group, streams);
    streams.add(stream);
  }

  remove(stream: Stream): void {
    this.catchingUp.delete(stream);
    for (const [group, streams] of this.live) {
      if (streams.delete(stream) && streams.size === 0) {
        this.live.delete(group);
      }
    }
  }

  dispatch(event: ChangeEvent, change: Change, previous: LogPosition): void {
    for (const stream of this.catchingUp) {
      runIsolated(stream, () => stream.skip(event, change.size));
    }
    for (const [group, streams] of this.live) {
      const item = group.item(event, { position: change, previous, size: change.size });
      for (const stream of streams) {
        runIsolated(stream, () => stream.push(item));
      }
    }
  }
}

/** Ends a stream whose call throws, so that the other streams are called all the same. */
function runIsolated(stream: Stream, call: () => void): void {
  try {
    call();
  } catch (error) {
    stream.fail(error as Error);
  }
}

/** The streams that are attached to the feed, indexed by their interests; a filter that several streams share is evaluated once for a change. */
export class SharedFilters {
  readonly #routes = new Routes<SharedFilter>();
  readonly #listeners = new Routes<(change: RowChange) => void>();
  readonly #byKey = new Map<string, SharedFilter>();
  readonly #byStream = new Map<Stream, SharedFilter>();

  add(stream: Stream): void {
    const { key } = stream.filter;
    let shared = key === null ? undefined : this.#byKey.get(key);
    if (!shared) {
      shared = new SharedFilter(stream.filter);
      for (const interest of shared.interests) {
        this.#routes.add(interest, shared);
      }
      if (key !== null) {
        this.#byKey.set(key, shared);
      }
    }
    shared.setLive(stream, false);
    this.#byStream.set(stream, shared);
  }

  remove(stream: Stream): void {
    const shared = this.#byStream.get(stream);
    this.#byStream.delete(stream);
    shared?.remove(stream);
    if (shared?.isUnused) {
      for (const interest of shared.interests) {
        this.#routes.remove(interest, shared);
      }
      if (shared.filter.key !== null) {
        this.#byKey.delete(shared.filter.key);
      }
    }
  }

  setLive(stream: Stream, isLive: boolean): void {
    this.#byStream.get(stream)?.setLive(stream, isLive);
  }

  /** Updates the index for a stream whose interests may have changed with the group memberships of its viewer. */
  reroute(stream: Stream): void {
    const shared = this.#byStream.get(stream);
    // The interests of a filter with a key never change.
    if (!shared || shared.filter.key !== null) {
      return;
    }
    for (const interest of shared.interests) {
      this.#routes.remove(interest, shared);
    }
    shared.interests = shared.filter.interests();
    for (const interest of shared.interests) {
      this.#routes.add(interest, shared);
    }
  }

  /** Calls back for the changes that an interest selects; returns the function that removes the listener. */
  listen(interest: Interest, listener: (change: RowChange) => void): () => void {
    const own = (change: RowChange): void => listener(change);
    this.#listeners.add(interest, own);
    return () => this.#listeners.remove(interest, own);
  }

  /** Whether a stream or listener has an interest in the scopes and the model of the change. */
  hasTargets(change: Change): boolean {
    return this.#routes.has(change) || this.#listeners.has(change);
  }

  /** Dispatches a change to all streams and listeners that it may concern; `previous` is the position before it. Returns the errors. */
  dispatch(change: Change, previous: LogPosition): DispatchFailure[] {
    let found: ReadonlySet<SharedFilter>;
    try {
      found = this.#routes.find(change);
    } catch (error) {
      return [{ streams: [...this.#routes.findByScope(change)].flatMap(({ streams }) => streams), error }];
    }
    const failures: DispatchFailure[] = [];
    for (const listener of [...this.#listeners.find(change)]) {
      try {
        listener(change);
      } catch (error) {
        failures.push({ streams: [], error });
      }
    }
    for (const shared of [...found]) {
      try {
        const event = shared.filter.toEvent(change);
        if (event) {
          shared.dispatch(event, change, previous);
        }
      } catch (error) {
        failures.push({ streams: shared.streams, error });
      }
    }
    return failures;
  }
}
