import { ValidationError } from '../errors.ts';
import { parseId } from '../validation.ts';
import type { ModelName } from './columns.ts';
import type { Comparison, RowCondition } from './condition.ts';
import { MAX_PAGE_SIZE, type Order, type OrderColumns, type PageArguments } from './page.ts';

/** How many alternatives a filter may have, those of its alternatives included. */
const MAX_ALTERNATIVES = 20;

/** The arguments of a list: its filter, its order and its page. */
export interface ListArguments<Filter, Columns extends OrderColumns> {
  readonly filter: Filter | null | undefined;
  readonly order: Order<keyof Columns & string>;
  readonly page: PageArguments;
}

/** The conditions that each filter of a list has besides its own; all conditions have to be met. */
export interface ListFilter<Filter> {
  /** The ids of the rows; at most {@link MAX_PAGE_SIZE}. An empty list selects no row. */
  readonly ids?: readonly string[] | null | undefined;
  /** Alternatives, at least one of which has to be met. An empty list selects no row. */
  readonly or?: readonly Filter[] | null | undefined;
}

/**
 * Returns the condition of a filter and its alternatives. `conditionOf` returns that of the filter's own conditions.
 *
 * @throws {ValidationError} for more than {@link MAX_PAGE_SIZE} ids, or more than {@link MAX_ALTERNATIVES} alternatives
 */
export function filterCondition<Filter extends ListFilter<Filter>, Model extends ModelName>(
  filter: Filter | null | undefined,
  conditionOf: (filter: Partial<Filter>) => RowCondition<Model>,
): RowCondition<Model> {
  let alternatives = 0;
  const toCondition = (part: Filter): RowCondition<Model> => {
    alternatives += part.or?.length ?? 0;
    expectAtMost('filter.or', alternatives, MAX_ALTERNATIVES);
    expectAtMost('filter.ids', part.ids?.length ?? 0, MAX_PAGE_SIZE);
    return {
      ...conditionOf(part),
      ...(part.ids != null && { id: { in: part.ids.flatMap((id) => parseId(id) ?? []) } }),
      ...(part.or != null && { OR: part.or.map(toCondition) }),
    } as RowCondition<Model>;
  };
  return filter == null ? conditionOf({}) : toCondition(filter);
}

function expectAtMost(path: string, length: number, max: number): void {
  if (length > max) {
    throw new ValidationError([{ path, message: `Ensure this field has no more than ${max} elements.` }]);
  }
}

/** The last code point of Unicode. */
const LAST_CODE_POINT = '\u{10ffff}';

/** Returns the comparison of the texts that begin with `start`: a range, which an index can serve. */
export function startsWith(start: string): { gte: string; lt: string } {
  return { gte: start, lt: `${start}${LAST_CODE_POINT}` };
}

/** Returns the condition that a time is at or after `from` and before `before`; a bound that is left out does not apply. */
export function timeRange<Column extends string>(
  column: Column,
  from: Date | null | undefined,
  before: Date | null | undefined,
): { [Name in Column]?: Comparison<Date> } {
  const range = { ...(from && { gte: from }), ...(before && { lt: before }) };
  return (from ?? before) ? ({ [column]: range } as { [Name in Column]: Comparison<Date> }) : {};
}

/** Returns the condition that a column holds an id: no condition when the id is left out, and one that no row fulfils for a text that is not an id. */
export function idEquals<Column extends string>(
  column: Column,
  id: string | null | undefined,
): { [Name in Column]?: number | Comparison<number> } {
  return id == null
    ? {}
    : ({ [column]: parseId(id) ?? { in: [] } } as { [Name in Column]: number | Comparison<number> });
}
