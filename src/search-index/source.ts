import type { ScopeRule } from '../changes/scopes.ts';
import type { Context } from '../context.ts';
import type { RowOf } from '../database/columns.ts';
import type { Condition } from '../database/condition.ts';
import type { PagedModel } from '../database/page.ts';
import { findColumns, findRows } from '../database/rows.ts';
import type { Viewer } from '../viewer.ts';

/** How the rows of a model are searched; the slice that owns the model declares it. */
export interface SearchRule<Model extends PagedModel> {
  readonly model: Model;
  /** Identifies the model in the index: 1 to 15, and never another one once it was released. */
  readonly code: number;
  /** The columns of texts that are searched. A match in the title ranks before other matches. */
  readonly title?: keyof RowOf<Model> & string;
  readonly text: keyof RowOf<Model> & string;
  /** The column of the time by which matches of the same rank are ordered, the latest first. It does not change. */
  readonly time: keyof RowOf<Model> & string;
  /** The scope of its rows, as in the change log. */
  readonly scope: ScopeRule;
  /** Whether some viewers see the rows of all scopes. */
  readonly isSeenWhole: boolean;
  /** Returns the scopes of the rows that the viewer may see, at most {@link MAX_SCOPES} of them; null for all scopes. */
  readonly scopesOf: (context: Context) => Promise<readonly string[] | null>;
  /** The policy of the model, which decides which of the rows of those scopes are found. */
  readonly visible: (viewer: Viewer) => Condition<Model>;
}

/** The largest number of scopes that one search reads. */
export const MAX_SCOPES = 200;

export type SearchedRow = { readonly id: number } & Readonly<Record<string, unknown>>;

/** A searched model, without the type of its rows. */
export interface SearchSource {
  readonly model: PagedModel;
  readonly code: number;
  readonly title: string | null;
  readonly text: string;
  readonly time: string;
  readonly scope: ScopeRule;
  readonly isSeenWhole: boolean;
  readonly scopesOf: (context: Context) => Promise<readonly string[] | null>;
  /** Returns those of these rows that the viewer may see. */
  readonly findVisible: (context: Context, ids: readonly number[]) => Promise<SearchedRow[]>;
  /** Returns the ids and times of those of these rows that the viewer may see. */
  readonly findTimes: (context: Context, ids: readonly number[]) => Promise<{ id: number; time: number }[]>;
}

/** Returns the source of a rule. */
export function searchSource<Model extends PagedModel>(rule: SearchRule<Model>): SearchSource {
  const { model, title, time, visible } = rule;
  const visibleOf = ({ viewer }: Context, ids: readonly number[]): Condition<Model> =>
    ({ AND: [{ id: { in: [...ids] } }, visible(viewer)] }) as Condition<Model>;
  return {
    ...rule,
    title: title ?? null,
    findVisible: async (context, ids) =>
      (await findRows(context.database, model, { where: visibleOf(context, ids) })) as SearchedRow[],
    findTimes: async (context, ids) => {
      const rows = await findColumns(context.database, model, ['id', time], { where: visibleOf(context, ids) });
      return (rows as SearchedRow[]).map((row) => ({ id: row.id, time: Number(row[time]) }));
    },
  };
}

/** The bits of an entry's id below the id of the row. */
const CODE_BITS = 4;
export const CODES = 2 ** CODE_BITS;

/** Returns the id of the row of an entry. */
export function rowIdOf(entryId: number): number {
  return Math.floor(entryId / CODES);
}

/** The scope that contains the rows of all scopes of a model. */
export const WHOLE = 'all';

/** Returns the scope of a model as a word of the index, which contains letters and digits only. */
export function scopeWord({ code }: Pick<SearchSource, 'code'>, scope: string): string {
  return `${code}${scope.replace(':', '')}`;
}

/** The characters at the beginning of a text and of a title that are indexed. */
export const MAX_INDEXED_TEXT = 100_000;
export const MAX_INDEXED_TITLE = 1000;
