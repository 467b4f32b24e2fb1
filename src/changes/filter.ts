import type { Viewer } from '../viewer.ts';
import type { RowChange, RowImage } from './change.ts';
import type { ScopedModel } from './log.ts';

export type EventAction = 'CREATED' | 'UPDATED' | 'DELETED';

/** Something that is sent to subscriptions. */
export interface StreamEvent {
  /** Equal for events of which everybody who shares results gets the same text. */
  readonly key: string;
  /** The position in the log from which a subscription can be resumed; null for an event that the log does not hold. */
  readonly cursor: string | null;
  /** Whether no event can follow. */
  readonly isLast?: boolean;
}

/** What a change means to a subscription. */
export interface ChangeEvent extends StreamEvent {
  readonly action: EventAction;
  readonly cursor: string;
  readonly id: number;
  /** The row as the change left it; `current` when it is to be read as it is at present; null when the subscriber no longer has it. */
  readonly row: RowImage | 'current' | null;
  /** Whether the row left because the viewer lost the right to see it: older events of it may no longer be sent. */
  readonly isRightLost?: boolean;
}

/** Makes the event of a change. */
export function changeEvent(
  { cursor }: Pick<RowChange, 'cursor'>,
  event: Omit<ChangeEvent, 'key' | 'cursor'>,
): ChangeEvent {
  return { ...event, cursor, key: `${cursor} ${event.action} ${event.id}` };
}

/** Where the changes are that may concern a subscription: those of a model in one scope, or in all of them. */
export interface Interest {
  readonly model: string;
  /** Null for all scopes. */
  readonly scope: string | null;
  /** Only rows that have, or had before the change, this value in this column. */
  readonly where?: { readonly column: string; readonly value: unknown };
}

/** What one subscription asked for, and what its viewer may see of it at this moment. */
export interface SubscriptionFilter {
  readonly viewer: Viewer;
  /** Filters of equal keys make the same events of the same changes. Null for one that depends on more than the change. */
  readonly key: string | null;
  /** Where its changes are found; asked again after each access change of its scopes. */
  interests(): readonly Interest[];
  /** Makes the event of a change; null when it does not concern the subscription. */
  toEvent(change: RowChange): ChangeEvent | null;
  /** The scopes whose access changes concern it. */
  readonly accessScopes: readonly string[];
  /** Whether the viewer has access to it at present; the subscription ends without. Asked again after each access change. */
  hasAccess(): boolean;
  /** Where the changes are after which the subscription has to start over, since what its viewer sees changed without events. */
  readonly barrier?: ScopedModel;
  isBarrier?(change: RowChange): boolean;
  /** Whether the viewer is not what such a change made of it, and so was read before it. */
  isViewerOlderThan?(change: RowChange): boolean;
  /** Whether an event that had to wait may still be sent. */
  mayReceive(event: ChangeEvent): boolean;
  /** Of these rows, those that exist but that the viewer may not see at present; left out where `mayReceive` says it. */
  hiddenNow?(ids: readonly number[]): Promise<ReadonlySet<number>>;
  /** Whether the subscription ends once it has caught up: there is nothing that could follow. */
  readonly endsWhenCaughtUp?: boolean;
  /** Called once, when the subscription is over. */
  release(): void;
}
