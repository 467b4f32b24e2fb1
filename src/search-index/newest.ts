import type { Context } from '../context.ts';
import { readValues } from '../database/rows.ts';
import { isPostgres } from '../database/transactions.ts';
import { isShared, POSTGRES_NEWEST, postgresNewestOfBlocks, postgresQuery } from './postgres-index.ts';
import { MAX_SCOPES, rowIdOf, type SearchSource, scopeWord, WHOLE } from './source.ts';
import { SQLITE_NEWEST, sqliteMatch } from './sqlite-index.ts';
import type { SearchTerm } from './words.ts';

/** How many matches of a model are ranked: the newest ones with all words in the title, and the newest ones with all words anywhere, in each shared scope and in all others together. */
export const MAX_RANKED = 500;

/** Where the words of a query were found. */
export type Rank = 'TITLE' | 'TEXT';

/** A row that matches a query, with the properties by which it is ranked. They are those of the row alone, so that nothing shows of rows that the viewer may not see. */
export interface Match {
  readonly source: SearchSource;
  readonly id: number;
  readonly rank: Rank;
  /** In milliseconds since 1970. */
  readonly time: number;
}

/** Returns the newest rows of a source that match all terms and that the viewer may see, in no order. */
export async function findMatches(
  context: Context,
  source: SearchSource,
  terms: readonly SearchTerm[],
): Promise<Match[]> {
  const scopes = (await source.scopesOf(context)) ?? [WHOLE];
  const groups = groupsOf(scopes.slice(0, MAX_SCOPES));
  const inTitle = source.title === null ? [] : await newestOf(context, source, groups, terms, true);
  const anywhere = await newestOf(context, source, groups, terms, false);
  const titled = new Set(inTitle);
  const ids = [...new Set([...inTitle, ...anywhere])];
  const seen = ids.length === 0 ? [] : await source.findTimes(context, ids);
  return seen.map(({ id, time }) => ({ source, id, time, rank: titled.has(id) ? 'TITLE' : 'TEXT' }));
}

/** Returns the groups of scopes that are read by one statement: the scopes of users and groups together, and each shared scope by itself, so that none crowds out the others. */
function groupsOf(scopes: readonly string[]): string[][] {
  const own = scopes.filter((scope) => !isShared(scope));
  return [...(own.length > 0 ? [own] : []), ...scopes.filter(isShared).map((scope) => [scope])];
}

async function newestOf(
  { database }: Context,
  source: SearchSource,
  groups: readonly (readonly string[])[],
  terms: readonly SearchTerm[],
  inTitle: boolean,
): Promise<number[]> {
  const found = await Promise.all(
    groups.map((scopes) => {
      if (!isPostgres(database)) {
        const words = scopes.map((scope) => scopeWord(source, scope));
        return readValues(database, SQLITE_NEWEST, [sqliteMatch(words, terms, inTitle), MAX_RANKED]);
      }
      const queries = scopes.map((scope) => postgresQuery(source, scope, terms, inTitle));
      return scopes.every(isShared)
        ? readValues(database, postgresNewestOfBlocks(source), [queries[0], MAX_RANKED])
        : readValues(database, POSTGRES_NEWEST, [queries, MAX_RANKED]);
    }),
  );
  return found.flat().map(({ id }) => rowIdOf(Number(id)));
}
