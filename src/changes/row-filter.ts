import { matches } from '../database/where.ts';
import type { Viewer } from '../viewer.ts';
import type { RowImage } from './change.ts';
import { changeEvent, type Interest, type SubscriptionFilter } from './filter.ts';

/** A subscription to the rows of one model, whose policy is a condition on columns of the row itself. */
export interface RowFilter {
  readonly viewer: Viewer;
  readonly model: string;
  /** The scopes of the rows that the viewer may see; null for all. */
  readonly scopes: readonly string[] | null;
  /** The policy of the model for this viewer. */
  readonly policy: object;
  /** The columns that the subscriber asked for, and their values. */
  readonly wanted: Readonly<Record<string, number>>;
  /** Reads rows as they are at present. */
  readonly find: (ids: number[]) => PromiseLike<readonly RowImage[]>;
}

/** The changes of rows, relative to what the viewer may see and asked for. */
export function rowFilter({ viewer, model, scopes, policy, wanted, find }: RowFilter): SubscriptionFilter {
  const visible = (row: RowImage): boolean => matches(policy, row);
  const has = (row: RowImage | null): row is RowImage => row !== null && matches(wanted, row) && visible(row);
  const [first] = Object.entries(wanted);
  const where = first && { column: first[0], value: first[1] };
  const interests: readonly Interest[] = (scopes ?? [null]).map((scope) => ({ model, scope, ...(where && { where }) }));
  return {
    viewer,
    key: JSON.stringify([model, scopes, policy, wanted]),
    interests: () => interests,
    toEvent: (change) => {
      const { before, after, rowId: id } = change;
      if (has(after)) {
        return changeEvent(change, { action: has(before) ? 'UPDATED' : 'CREATED', id, row: after });
      }
      const isRightLost = after !== null && !visible(after);
      return has(before) ? changeEvent(change, { action: 'DELETED', id, row: null, isRightLost }) : null;
    },
    accessScopes: [],
    hasAccess: () => true,
    mayReceive: () => true,
    ...(Object.keys(policy).length > 0 && {
      hiddenNow: async (ids: readonly number[]) => {
        const rows = await find([...ids]);
        return new Set(rows.filter((row) => !visible(row)).map(({ id }) => id));
      },
    }),
    release: () => undefined,
  };
}
