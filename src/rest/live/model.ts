import { z } from 'zod';
import type { RowImage } from '../../changes/models.ts';
import type { Watch } from '../../changes/watch.ts';
import type { Context } from '../../context.ts';
import { AppError } from '../../errors.ts';
import { truthField } from '../fields.ts';

/** What a client may compare a column with. */
export type Scalar = string | number | boolean;

/** Columns that hold ids, and the ids that are wanted, as text. */
export type Ids = Readonly<Record<string, string>>;

/** One thing that a subscription is narrowed to. */
export interface Narrowing {
  readonly fits: (row: RowImage) => boolean;
  /** The same for a watch that can look it up. */
  readonly ids?: Ids;
}

/** Makes a narrowing of the value that a client gives. */
export type Parameter = (value: Scalar) => Narrowing;

/** A model as clients of `/ws/subscribe/` know it: a view of the rows of one of ours. */
export interface LiveModel<Row> {
  /** The name that they subscribe by, like `todolist.Task`. */
  readonly name: string;
  /** Whose rows these are. */
  readonly of: string;
  /** What a subscription can be narrowed by, beside `pk` and `id`. */
  readonly parameters: Readonly<Record<string, Parameter>>;
  /** Those of them that the first generation may group by. */
  readonly groups: readonly string[];
  /**
   * Watches the rows that the viewer sees, of these ids where they are given. With `untilDenied` it fails with `NOT_FOUND` when the viewer
   * has no right to anything of that sort, and ends when it comes to that; without, it waits for the right.
   *
   * @throws {UnauthenticatedError} when the rows are for signed-in users only
   */
  readonly watch: (context: Context, ids: Ids, untilDenied: boolean) => Watch | Promise<Watch>;
  /** The row with this id, when the viewer sees it. */
  readonly find: (context: Context, id: string) => Promise<{ readonly id: number } | null | undefined>;
  /** What is shown of a row; null when there is nothing to show of it by now. */
  readonly instance: (row: Row, context: Context) => object | Promise<object | null>;
  /** Whether what is shown depends on who looks. */
  readonly personal?: boolean;
}

/** A model of any row. */
export type AnyLiveModel = LiveModel<never>;

/** Checks the entry of a model against the rows that it shows: an image in the log has the columns of its model's row. */
export function liveModel<Row>(model: LiveModel<Row>): AnyLiveModel {
  return model;
}

/** Narrows to the rows with this id in the column; ids are compared as text. */
export function byId(column: string): Parameter {
  return (value) => ({ ids: { [column]: String(value) }, fits: (row) => String(row[column]) === String(value) });
}

const truth = truthField(z.boolean());

/** Narrows to the rows in which the column is true, or is not. */
export function byTruth(column: string): Parameter {
  return (value) => {
    const wanted = truth.safeParse(value);
    if (!wanted.success) {
      throw new AppError('BAD_INPUT', 'Must be a valid boolean.');
    }
    return { fits: (row) => row[column] === wanted.data };
  };
}

/** Narrows to the rows that have the text in the column, in any case of letters. */
export function bySearch(column: string): Parameter {
  return (value) => {
    const wanted = String(value).toLowerCase();
    return { fits: (row) => String(row[column]).toLowerCase().includes(wanted) };
  };
}

const OWN_ID = byId('id');

/** The parameter of a model with this name, or null. */
export function parameterOf({ parameters }: AnyLiveModel, name: string): Parameter | null {
  if (name === 'pk' || name === 'id') {
    return OWN_ID;
  }
  return Object.hasOwn(parameters, name) ? (parameters[name] ?? null) : null;
}

/** Sees the rows that do not fit as if they were not there: so one that ceases to fit is DELETED, and one that begins to is CREATED. */
export function narrowed(watch: Watch, model: string, narrowings: readonly Narrowing[]): Watch {
  const fitting = (row: RowImage | null): RowImage | null =>
    row !== null && narrowings.every(({ fits }) => fits(row)) ? row : null;
  return {
    ...watch,
    translate: (change) => {
      if (change.model !== model) {
        return watch.translate(change);
      }
      const after = fitting(change.after);
      const outcome = watch.translate({ ...change, before: fitting(change.before), after });
      if (outcome === null || typeof outcome === 'string' || after === change.after) {
        return outcome;
      }
      // The row may have ceased to fit and to be visible at once.
      const whole = watch.translate(change);
      return { ...outcome, rightLost: whole !== null && typeof whole !== 'string' && whole.rightLost === true };
    },
  };
}
