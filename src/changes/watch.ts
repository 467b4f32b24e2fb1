import type { Viewer } from '../context.ts';
import { matches } from '../database/where.ts';
import { parseId } from '../validation.ts';
import type { Change } from './log.ts';
import type { RowImage } from './models.ts';

export type EventAction = 'CREATED' | 'UPDATED' | 'DELETED';

/** What a change means to one subscriber. */
export interface StreamEvent {
  readonly action: EventAction;
  /** The place of the change in the log. */
  readonly cursor: string;
  readonly id: number;
  /** The row as the change left it; null when the subscriber no longer has it. */
  readonly row: RowImage | null;
  /** Whether the row left because the viewer lost the right to see it: then nothing older of it may be sent any more. */
  readonly rightLost?: boolean;
  /** Whether nothing can follow. */
  readonly last?: boolean;
}

/** Where a subscription looks: rows of a model with this value in this column, or all of them. */
export type IndexKey =
  | { readonly model: string; readonly column: string; readonly value: unknown }
  | { readonly model: string; readonly column?: never };

/** What one subscription is about, and what its viewer may know of it at this moment. */
export interface Watch {
  readonly viewer: Viewer;
  /** The models whose changes matter. */
  readonly models: readonly string[];
  /** Which of their changes matter; a change is offered once, however many keys it meets. */
  readonly keys: readonly IndexKey[];
  /** What a change means here: an event, nothing, the end, or that the subscriber has to start over. */
  translate(change: Change): StreamEvent | 'end' | 'resync' | null;
  /** What a change of rights means that is committed, but has to wait for its turn: the end, that the subscriber has to start over, or nothing yet. */
  foresee?(change: Change): 'end' | 'resync' | null;
  /** Whether an event that had to wait may still be sent. */
  mayStillSend(event: StreamEvent): boolean;
  /** Whether the watch ends once it has caught up: its viewer has no longer anything to wait for. */
  readonly finite?: boolean;
  /** Of these rows those that exist, but that the viewer may not see at present. */
  hiddenNow(ids: readonly number[]): Promise<ReadonlySet<number>>;
}

/** What a subscription to the rows of one model consists of. */
export interface RowWatch {
  readonly viewer: Viewer;
  readonly model: string;
  /** The policy of the model for this viewer, as a condition on columns of the row itself. */
  readonly policy: object;
  /** What the subscriber asked for: columns and their values. */
  readonly wanted: Readonly<Record<string, number>>;
  /** Reads rows as they are at present. */
  readonly find: (ids: number[]) => PromiseLike<readonly RowImage[]>;
}

/** Watches rows that come, change and go, seen from what the viewer may see and asked for. */
export function watchRows({ viewer, model, policy, wanted, find }: RowWatch): Watch {
  const visible = (row: RowImage): boolean => matches(policy, row);
  const has = (row: RowImage | null): row is RowImage => row !== null && matches(wanted, row) && visible(row);
  const [first] = Object.entries(wanted);
  return withStanding({
    viewer,
    models: [model],
    keys: first ? [{ model, column: first[0], value: first[1] }] : keysOf(model, policy),
    translate: ({ before, after, cursor, rowId: id }) => {
      if (has(after)) {
        return { action: has(before) ? 'UPDATED' : 'CREATED', cursor, id, row: after };
      }
      const rightLost = after !== null && !visible(after);
      return has(before) ? { action: 'DELETED', cursor, id, row: null, rightLost } : null;
    },
    mayStillSend: () => true,
    hiddenNow: async (ids) => {
      const rows = await find([...ids]);
      return new Set(rows.filter((row) => !visible(row)).map(({ id }) => id));
    },
  });
}

/** No row has it: what an id that is none stands for. */
const NO_ID = 0;

/** The columns that a subscriber asked for, without those that were left out. */
export function wantedIds(ids: Readonly<Record<string, string | null | undefined>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(ids).flatMap(([column, id]) => (id == null ? [] : [[column, parseId(id) ?? NO_ID]])),
  );
}

/** Where rows that fulfil a policy are to be looked for. */
function keysOf(model: string, policy: object): IndexKey[] {
  const [condition, ...more] = Object.entries(policy);
  if (!condition) {
    return [{ model }];
  }
  const [column, value] = condition;
  if (more.length === 0 && column === 'OR' && Array.isArray(value)) {
    return value.flatMap((part) => keysOf(model, part));
  }
  if (more.length === 0 && (value === null || typeof value === 'number')) {
    return [{ model, column, value }];
  }
  return [{ model }];
}

/**
 * A watch that also heeds the standing of its viewer: who becomes staff, or no longer is, sees other rows than before, and no event
 * tells which. That holds for a change that happened while nobody was connected, too.
 */
export function withStanding(watch: Watch): Watch {
  const { viewer } = watch;
  if (viewer.kind === 'anonymous') {
    return watch;
  }
  const standing = ({ rowId, before, after }: Change): 'resync' | null =>
    rowId === viewer.id && before?.['isStaff'] !== after?.['isStaff'] ? 'resync' : null;
  return {
    ...watch,
    models: [...watch.models, 'User'],
    keys: [...watch.keys, { model: 'User', column: 'id', value: viewer.id }],
    translate: (change) => (change.model === 'User' ? standing(change) : watch.translate(change)),
    foresee: (change) => (change.model === 'User' ? standing(change) : (watch.foresee?.(change) ?? null)),
  };
}
