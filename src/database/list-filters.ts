import { parseId } from '../validation.ts';
import type { Comparison } from './condition.ts';
import type { Order, OrderColumns, PageArguments } from './page.ts';

/** The arguments of a list: its filter, its order and its page. */
export interface ListArguments<Filter, Columns extends OrderColumns> {
  readonly filter: Filter | null | undefined;
  readonly order: Order<keyof Columns & string>;
  readonly page: PageArguments;
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
