import { fillSearchIndex } from '../search-index/backfill.ts';
import type { SearchSource } from '../search-index/source.ts';
import type { Slice } from '../slice.ts';
import { defineSearch } from './schema.ts';

/** Returns the full-text search over the sources that other slices name. */
export function search(sources: readonly SearchSource[]): Slice {
  return {
    models: { SearchBackfill: null },
    schema: [defineSearch(sources)],
    backfill: (database, stopping) => fillSearchIndex(database, sources, stopping),
  };
}
