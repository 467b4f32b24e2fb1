import type { Viewer } from '../viewer.ts';
import type { RowChange, RowImage } from './change.ts';
import type { ScopedModel } from './log.ts';

export type EventAction = 'CREATED' | 'UPDATED' | 'DELETED';

/** An event that is sent to subscriptions. */
export interface StreamEvent {
  /** Events with equal keys are rendered once for all subscriptions that share results. */
  readonly key: string;
  /** The position in the log from which a subscription can be resumed; null for an event that the log does not hold. */
  readonly cursor: string | null;
  /** Whether no event can follow. */
  readonly isLast?: boolean;
}

/** The event that a filter makes of a change. */
export interface ChangeEvent extends StreamEvent {
  readonly action: EventAction;
  readonly cursor: string;
  readonly id: number;
  /** The row after the change; `current` when the renderer reads the present row; null when the row is deleted or no longer visible to the subscriber. */
  readonly row: RowImage | 'current' | null;
  /** The scope to which a `current` row has to belong when it is read: otherwise it has left the subscription in the meantime. */
  readonly scope?: string;
  /** Whether the viewer may no longer see the row: older events of the row may then no longer be sent. */
  readonly isRevoked?: boolean;
  /** Whether the change removed what older events of the row show, which the viewer may still see: those that wait to be sent are dropped. */
  readonly isRetraction?: boolean;
  /** The row that the event shows, where `id` is that of the object which the row is a part of: a retraction concerns the older events of the same part. */
  readonly part?: number;
}

/** Returns the event of a change, with a key that identifies both. */
export function changeEvent(
  { cursor }: Pick<RowChange, 'cursor'>,
  event: Omit<ChangeEvent, 'key' | 'cursor'>,
): ChangeEvent {
  return { ...event, cursor, key: `${cursor} ${event.action} ${event.id}` };
}

/** A selection of changes that may concern a subscription: the changes of a model in one scope, or in all scopes. */
export interface Interest {
  readonly model: string;
  /** Null for all scopes. */
  readonly scope: string | null;
  /** Selects only rows whose column has this value before or after the change. */
  readonly where?: { readonly column: string; readonly value: unknown };
}

/** Decides which changes one subscription receives: those that its client asked for and that its viewer may see. */
export interface SubscriptionFilter {
  readonly viewer: Viewer;
  /** Filters with equal keys make the same events of the same changes. Null for a filter that depends on more than the change. */
  readonly key: string | null;
  /** Returns its interests; called again after each access change of its scopes. */
  interests(): readonly Interest[];
  /** Returns the event of a change; null when the change does not concern the subscription. */
  toEvent(change: RowChange): ChangeEvent | null;
  /** The scopes whose access changes concern the subscription. */
  readonly accessScopes: readonly string[];
  /** Whether the viewer has access at present; without access the subscription ends. Called again after each access change. */
  hasAccess(): boolean;
  /** Where barriers are found: changes that alter the set of rows that the viewer sees without row events, so that the subscription ends with `RESYNC_REQUIRED`. */
  readonly barrier?: ScopedModel;
  isBarrier?(change: RowChange): boolean;
  /** Whether the viewer was read before such a change. */
  isViewerOlderThan?(change: RowChange): boolean;
  /** Whether a queued event may still be sent. */
  mayReceive(event: ChangeEvent): boolean;
  /** Returns those of the events, which are not deletions, that show what the viewer may not see at present; left out where `mayReceive` decides that. */
  findHidden?(events: readonly ChangeEvent[]): Promise<ReadonlySet<ChangeEvent>>;
  /** Whether the subscription ends once it has caught up, since no further event is possible. */
  readonly endsWhenCaughtUp?: boolean;
  /** Called once, when the subscription has ended. */
  release(): void;
}
