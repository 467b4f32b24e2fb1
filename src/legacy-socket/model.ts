import { z } from 'zod';
import type { RowImage } from '../changes/change.ts';
import type { SubscriptionFilter } from '../changes/filter.ts';
import type { Context } from '../context.ts';
import { AppError } from '../errors.ts';
import { booleanField } from '../rest/fields.ts';
import type { Scalar } from './frames.ts';

/** The ids that columns have to contain, as text, by column. */
export type IdConditions = Readonly<Record<string, string>>;

/** A condition on the rows of a subscription. */
export interface RowFilter {
  /** Equal for conditions that match the same rows. */
  readonly key: string;
  readonly matches: (row: RowImage) => boolean;
  /** The same condition for a subscription filter that looks up ids. */
  readonly ids?: IdConditions;
}

/** Returns the condition for a value from a client. */
export type FilterParameter = (value: Scalar) => RowFilter;

/** A model that clients of `/ws/subscribe/` can subscribe to: a view of the rows of a model of the database. */
export interface LegacyModel<Row> {
  /** Its name in frames, like `todolist.Task`. */
  readonly name: string;
  /** The model of the database. */
  readonly source: string;
  /** The parameters that filter the rows of a subscription, in addition to `pk` and `id`. */
  readonly parameters: Readonly<Record<string, FilterParameter>>;
  /** The parameters that are allowed as `group_by` of the first generation. */
  readonly groups: readonly string[];
  /**
   * Returns the filter of the rows that the viewer sees, with these ids if there are any. With `untilDenied`, rejects with
   * `NOT_FOUND`, and ends later, when the viewer has no access. Otherwise the subscription waits until access is granted.
   *
   * @throws {UnauthenticatedError} when the rows are for signed-in users only
   */
  readonly watch: (
    context: Context,
    ids: IdConditions,
    untilDenied: boolean,
  ) => SubscriptionFilter | Promise<SubscriptionFilter>;
  /** Finds the row with this id when the viewer sees it. */
  readonly find: (context: Context, id: string) => Promise<{ readonly id: number } | null | undefined>;
  /** Returns the instance of a broadcast; null when the row is no longer visible. */
  readonly instance: (row: Row, context: Context) => object | Promise<object | null>;
  /** Reads the row of an event that has no row image. */
  readonly load?: (context: Context, id: number) => Promise<object | undefined>;
}

/** A model of any row. */
export type AnyLegacyModel = LegacyModel<never>;

/** Checks the type of a model's entry. A row image in the log has the columns of its model, so that any row fits. */
export function legacyModel<Row>(model: LegacyModel<Row>): AnyLegacyModel {
  return model;
}

/** Returns the parameter that selects the rows with an id in the column; ids are compared as the text of the client, so that `1.0` selects no row. */
export function idParameter(column: string): FilterParameter {
  return (value) => {
    const expected = String(value);
    return {
      key: `${column} = ${JSON.stringify(expected)}`,
      ids: { [column]: expected },
      matches: (row) => String(row[column]) === expected,
    };
  };
}

const booleanSchema = booleanField(z.boolean());

/** Returns the parameter that selects the rows in which the column is true, or false. */
export function booleanParameter(column: string): FilterParameter {
  return (value) => {
    const expected = booleanSchema.safeParse(typeof value === 'object' ? Number(value.value) : value);
    if (!expected.success) {
      throw new AppError('BAD_INPUT', 'Must be a valid boolean.');
    }
    return { key: `${column} is ${expected.data}`, matches: (row) => row[column] === expected.data };
  };
}

/** Returns the parameter that selects the rows whose column contains a text, in any case of letters. */
export function searchParameter(column: string): FilterParameter {
  return (value) => {
    const expected = String(value).toLowerCase();
    return {
      key: `${column} contains ${JSON.stringify(expected)}`,
      matches: (row) => String(row[column]).toLowerCase().includes(expected),
    };
  };
}

const OWN_ID = idParameter('id');

/** Returns the parameter of a model with this name; null when there is none. */
export function parameterOf({ parameters }: AnyLegacyModel, name: string): FilterParameter | null {
  if (name === 'pk' || name === 'id') {
    return OWN_ID;
  }
  return Object.hasOwn(parameters, name) ? (parameters[name] ?? null) : null;
}

/** Returns the filter with additional conditions. A row is DELETED when it no longer matches them, and CREATED when it begins to match. */
export function withRowFilters(
  filter: SubscriptionFilter,
  model: string,
  rowFilters: readonly RowFilter[],
): SubscriptionFilter {
  const matching = (row: RowImage | null): RowImage | null =>
    row !== null && rowFilters.every(({ matches }) => matches(row)) ? row : null;
  return {
    ...filter,
    key: filter.key === null ? null : [filter.key, ...rowFilters.map(({ key }) => key)].join(' & '),
    toEvent: (change) => {
      const { cursor, rowId, before, after } = change;
      if (change.model !== model) {
        return filter.toEvent(change);
      }
      const matchingAfter = matching(after);
      const event = filter.toEvent({ cursor, model, rowId, before: matching(before), after: matchingAfter });
      if (event === null || matchingAfter === after) {
        return event;
      }
      // The same change can end both the match and the visibility of the row.
      return { ...event, isRevoked: filter.toEvent(change)?.isRevoked ?? false };
    },
  };
}
