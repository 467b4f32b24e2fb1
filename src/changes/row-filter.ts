import type { ModelName, RowOf } from '../database/columns.ts';
import { matches, type RowCondition, type RowPolicy } from '../database/condition.ts';
import type { Viewer } from '../viewer.ts';
import type { RowImage } from './change.ts';
import { type ChangeEvent, changeEvent, type Interest, type SubscriptionFilter } from './filter.ts';

/** A subscription to the rows of one model, whose policy is a condition on columns of the row itself. */
export interface RowFilter<Model extends ModelName> {
  readonly viewer: Viewer;
  readonly model: Model;
  /** The scopes of the rows that the viewer may see; null for all. */
  readonly scopes: readonly string[] | null;
  /** The policy of the model for this viewer. */
  readonly policy: RowPolicy<Model>;
  /** The values that the subscriber asked for, by column. */
  readonly where: Readonly<Record<string, number>>;
  /** Reads the current state of rows. */
  readonly find: (ids: number[]) => PromiseLike<readonly RowImage[]>;
}

/** Returns a filter that makes events of the rows that the viewer may see and asked for. */
export function rowFilter<Model extends ModelName>({
  viewer,
  model,
  scopes,
  policy,
  where,
  find,
}: RowFilter<Model>): SubscriptionFilter {
  const fulfils = (condition: RowCondition<Model>, row: RowImage): boolean =>
    // A row image has all columns of its model.
    matches(condition, row as unknown as RowOf<Model>);
  const visible = (row: RowImage): boolean => fulfils(policy, row);
  const has = (row: RowImage | null): row is RowImage =>
    row !== null && fulfils(where as RowCondition<Model>, row) && visible(row);
  const [first] = Object.entries(where);
  const indexed = first && { column: first[0], value: first[1] };
  const interests: readonly Interest[] = (scopes ?? [null]).map((scope) => ({
    model,
    scope,
    ...(indexed && { where: indexed }),
  }));
  return {
    viewer,
    key: JSON.stringify([model, scopes, policy, where]),
    interests: () => interests,
    toEvent: (change) => {
      const { before, after, rowId: id } = change;
      if (has(after)) {
        return changeEvent(change, { action: has(before) ? 'UPDATED' : 'CREATED', id, row: after });
      }
      const isRevoked = after !== null && !visible(after);
      return has(before) ? changeEvent(change, { action: 'DELETED', id, row: null, isRevoked }) : null;
    },
    accessScopes: [],
    hasAccess: () => true,
    mayReceive: () => true,
    ...(Object.keys(policy).length > 0 && {
      findHidden: async (events: readonly ChangeEvent[]) => {
        const rows = await find([...new Set(events.map(({ id }) => id))]);
        const hidden = new Set(rows.filter((row) => !visible(row)).map(({ id }) => id));
        return new Set(events.filter(({ id }) => hidden.has(id)));
      },
    }),
    release: () => undefined,
  };
}
