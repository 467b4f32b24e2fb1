import type { Change } from './change.ts';
import type { LogPosition } from './cursor.ts';
import type { ChangeEvent, SubscriptionFilter } from './filter.ts';

/** An event of a change that was read from the log for one stream. */
export interface ReplayedEvent {
  readonly event: ChangeEvent;
  readonly change: Change;
  /** The position of the change that was read before. */
  readonly previous: LogPosition;
}

export interface ReplayedBatch {
  readonly events: readonly ReplayedEvent[];
  /** The rows that the viewer may no longer see as of the end of the batch. */
  readonly revoked: ReadonlySet<number>;
}

const NO_EVENTS: ReadonlySet<ChangeEvent> = new Set();

/** Makes the events of a batch of changes for a filter, without those up to `startsAfter`. `from` is the position that the batch follows. */
export function replayedEvents(
  changes: readonly Change[],
  filter: SubscriptionFilter,
  from: LogPosition,
  startsAfter: number,
): ReplayedBatch {
  const events: ReplayedEvent[] = [];
  const revoked = new Set<number>();
  let previous = from;
  for (const change of changes) {
    const event = change.seq > startsAfter ? eventOf(change, filter) : null;
    if (event) {
      trackRevoked(revoked, event);
      events.push({ event, change, previous });
    }
    previous = change;
  }
  return { events, revoked };
}

/** Adds the row of an event to the revoked rows, or removes it when the viewer sees it again. */
export function trackRevoked(revoked: Set<number>, { id, row, isRevoked }: ChangeEvent): void {
  if (isRevoked) {
    revoked.add(id);
  } else if (row !== null) {
    revoked.delete(id);
  }
}

/** Returns those of these events that show what the viewer may not see at present. */
export async function findHiddenEvents(
  filter: SubscriptionFilter,
  events: readonly ReplayedEvent[],
): Promise<ReadonlySet<ChangeEvent>> {
  const shown = events.flatMap(({ event }) => (event.row === null ? [] : [event]));
  return shown.length === 0 || !filter.findHidden ? NO_EVENTS : filter.findHidden(shown);
}

/** The last event that a filter with a key made of each change: streams that catch up together share it. */
const lastEvents = new WeakMap<Change, { readonly key: string; readonly event: ChangeEvent | null }>();

function eventOf(change: Change, filter: SubscriptionFilter): ChangeEvent | null {
  const { key } = filter;
  if (key === null) {
    return filter.toEvent(change);
  }
  const last = lastEvents.get(change);
  if (last?.key === key) {
    return last.event;
  }
  const event = filter.toEvent(change);
  lastEvents.set(change, { key, event });
  return event;
}
