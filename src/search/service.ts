import { z } from 'zod';
import type { Context } from '../context.ts';
import { checkSizes, DEFAULT_PAGE_SIZE, type Page, type PageArguments } from '../database/page.ts';
import { ValidationError } from '../errors.ts';
import { excerptOf, type TextPart } from '../search-index/excerpt.ts';
import { findMatches, type Match } from '../search-index/newest.ts';
import type { SearchedRow, SearchSource } from '../search-index/source.ts';
import { parseTerms, type SearchTerm } from '../search-index/words.ts';
import { text, validate } from '../validation.ts';
import { compareMatches, decodeSearchCursor, encodeSearchCursor } from './cursor.ts';

/** The longest query, in characters, and the largest number of its words. */
export const MAX_QUERY = 200;
export const MAX_WORDS = 16;

const searchInput = z.object({ query: text(MAX_QUERY) });

/** A row that matches a query. */
export interface SearchHit {
  readonly match: Match;
  readonly row: SearchedRow;
  readonly terms: readonly SearchTerm[];
}

/** The sources by whose rows hits are made. */
const sourcesOfRows = new WeakMap<object, SearchSource>();

/** Returns the name of the model of a row that {@link search} returned. */
export function modelOf(row: object): string {
  return sourcesOfRows.get(row)?.model ?? '';
}

/**
 * Returns one page of the rows of the sources that contain all words of a query and that the viewer may see, the best match first.
 *
 * @throws {ValidationError} when the query is too long, has too many words or none, or a size of the page is not valid
 * @throws {AppError} `BAD_CURSOR` for a malformed cursor, `COMPLEXITY` when the operation searches too many lists
 */
export async function search(
  context: Context,
  query: string,
  sources: readonly SearchSource[],
  page: PageArguments,
): Promise<Page<SearchHit>> {
  const terms = termsOf(query);
  checkSizes(page);
  const after = page.after == null ? null : decodeSearchCursor(page.after);
  const before = page.before == null ? null : decodeSearchCursor(page.before);
  context.answer.addTextSearches(sources.length);
  const found = await Promise.all(sources.map((source) => findMatches(context, source, terms)));
  const matches = found.flat().sort(compareMatches);
  const within = matches.filter(
    (match) => (!after || compareMatches(match, after) > 0) && (!before || compareMatches(match, before) < 0),
  );
  const size = page.last ?? page.first ?? DEFAULT_PAGE_SIZE;
  const wanted = page.last == null ? within.slice(0, size) : within.slice(Math.max(0, within.length - size));
  const isCut = within.length > wanted.length;
  return {
    rows: await readHits(context, wanted, terms),
    hasNextPage: page.last == null ? isCut : before !== null,
    hasPreviousPage: page.last == null ? after !== null : isCut,
    encodeCursor: ({ match }) => encodeSearchCursor(match),
    totalCount: async () => matches.length,
  };
}

/** Returns the title of a row with the matches marked; empty for a row without one. */
export function titleOf({ match: { source }, row, terms }: SearchHit): TextPart[] {
  return source.title === null ? [] : excerptOf(textIn(row, source.title), terms);
}

/** Returns a part of the text of a row with the matches marked. */
export function snippetOf({ match: { source }, row, terms }: SearchHit): TextPart[] {
  return excerptOf(textIn(row, source.text), terms);
}

function textIn(row: SearchedRow, column: string): string {
  const value = row[column];
  return typeof value === 'string' ? value : '';
}

function termsOf(query: string): SearchTerm[] {
  const terms = parseTerms(validate(searchInput, { query }).query);
  const words = terms.reduce((sum, term) => sum + term.words.length, 0);
  if (words === 0 || words > MAX_WORDS) {
    const message =
      words === 0
        ? 'Enter at least one word: a letter or a digit.'
        : `Ensure this field has no more than ${MAX_WORDS} words.`;
    throw new ValidationError([{ path: 'query', message }]);
  }
  return terms;
}

/** Reads the rows of matches under the policy of their model; a row that is deleted or hidden meanwhile is left out. */
async function readHits(
  context: Context,
  matches: readonly Match[],
  terms: readonly SearchTerm[],
): Promise<SearchHit[]> {
  const rows = new Map<SearchSource, ReadonlyMap<number, SearchedRow>>();
  for (const source of new Set(matches.map((match) => match.source))) {
    const ids = matches.filter((match) => match.source === source).map(({ id }) => id);
    const found = await context.answer.read(() => source.findVisible(context, ids));
    rows.set(source, new Map(found.map((row) => [row.id, row])));
  }
  return matches.flatMap((match) => {
    const row = rows.get(match.source)?.get(match.id);
    if (!row) {
      return [];
    }
    sourcesOfRows.set(row, match.source);
    return [{ match, row, terms }];
  });
}
