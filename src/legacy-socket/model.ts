import { z } from 'zod';
import type { RowImage } from '../changes/change.ts';
import type { SubscriptionFilter } from '../changes/filter.ts';
import type { Context } from '../context.ts';
import { AppError } from '../errors.ts';
import { truthField } from '../rest/fields.ts';

/** What a client may compare a column with. */
export type Scalar = string | number | boolean;

/** Columns that hold ids, and the ids that are wanted, as text. */
export type Ids = Readonly<Record<string, string>>;

/** One thing that a subscription is narrowed to. */
export interface Narrowing {
  /** Equal for narrowings that let the same rows through. */
  readonly key: string;
  readonly fits: (row: RowImage) => boolean;
  /** The same for a filter that can look it up. */
  readonly ids?: Ids;
}

/** Makes a narrowing of the value that a client gives. */
export type Parameter = (value: Scalar) => Narrowing;

/** A model as clients of `/ws/subscribe/` know it: a view of the rows of one of ours. */
export interface LegacyModel<Row> {
  /** The name that they subscribe by, like `todolist.Task`. */
  readonly name: string;
  /** Whose rows these are. */
  readonly of: string;
  /** What a subscription can be narrowed by, beside `pk` and `id`. */
  readonly parameters: Readonly<Record<string, Parameter>>;
  /** Those of them that the first generation may group by. */
  readonly groups: readonly string[];
  /**
   * Subscribes to the rows that the viewer sees, of these ids where they are given. `untilDenied`: reject with `NOT_FOUND`, and later end, when the viewer
   * has no access. Otherwise stay subscribed until access is granted.
   *
   * @throws {UnauthenticatedError} when the rows are for signed-in users only
   */
  readonly watch: (
    context: Context,
    ids: Ids,
    untilDenied: boolean,
  ) => SubscriptionFilter | Promise<SubscriptionFilter>;
  /** The row with this id, when the viewer sees it. */
  readonly find: (context: Context, id: string) => Promise<{ readonly id: number } | null | undefined>;
  /** What is shown of a row; null when there is nothing to show of it by now. A row whose event does not carry it is read first, by `load`. */
  readonly instance: (row: Row, context: Context) => object | Promise<object | null>;
  readonly load?: (context: Context, id: number) => Promise<object | undefined>;
}

/** A model of any row. */
export type AnyLegacyModel = LegacyModel<never>;

/** Checks the entry of a model against the rows that it shows: an image in the log has the columns of its model's row. */
export function legacyModel<Row>(model: LegacyModel<Row>): AnyLegacyModel {
  return model;
}

/** Narrows to the rows with this id in the column; ids are compared as text. */
export function byId(column: string): Parameter {
  return (value) => {
    const wanted = String(value);
    return {
      key: `${column} = ${JSON.stringify(wanted)}`,
      ids: { [column]: wanted },
      fits: (row) => String(row[column]) === wanted,
    };
  };
}

const truth = truthField(z.boolean());

/** Narrows to the rows in which the column is true, or is not. */
export function byTruth(column: string): Parameter {
  return (value) => {
    const wanted = truth.safeParse(value);
    if (!wanted.success) {
      throw new AppError('BAD_INPUT', 'Must be a valid boolean.');
    }
    return { key: `${column} is ${wanted.data}`, fits: (row) => row[column] === wanted.data };
  };
}

/** Narrows to the rows that have the text in the column, in any case of letters. */
export function bySearch(column: string): Parameter {
  return (value) => {
    const wanted = String(value).toLowerCase();
    return {
      key: `${column} contains ${JSON.stringify(wanted)}`,
      fits: (row) => String(row[column]).toLowerCase().includes(wanted),
    };
  };
}

const OWN_ID = byId('id');

/** The parameter of a model with this name, or null. */
export function parameterOf({ parameters }: AnyLegacyModel, name: string): Parameter | null {
  if (name === 'pk' || name === 'id') {
    return OWN_ID;
  }
  return Object.hasOwn(parameters, name) ? (parameters[name] ?? null) : null;
}

/** The same subscription, to which rows that do not fit are as if they were not there: one that ceases to fit is DELETED, one that begins to is CREATED. */
export function narrowed(
  filter: SubscriptionFilter,
  model: string,
  narrowings: readonly Narrowing[],
): SubscriptionFilter {
  const fitting = (row: RowImage | null): RowImage | null =>
    row !== null && narrowings.every(({ fits }) => fits(row)) ? row : null;
  return {
    ...filter,
    key: filter.key === null ? null : [filter.key, ...narrowings.map(({ key }) => key)].join(' & '),
    toEvent: (change) => {
      const { cursor, rowId, before, after } = change;
      if (change.model !== model) {
        return filter.toEvent(change);
      }
      const fittingAfter = fitting(after);
      const event = filter.toEvent({ cursor, model, rowId, before: fitting(before), after: fittingAfter });
      if (event === null || fittingAfter === after) {
        return event;
      }
      // The row may have ceased to fit and to be visible at once.
      return { ...event, isRightLost: filter.toEvent(change)?.isRightLost ?? false };
    },
  };
}
