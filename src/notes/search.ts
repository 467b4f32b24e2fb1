import { ownedScopes, SCOPE_OF_OWNER } from '../identity/ownership.ts';
import { searchSource } from '../search-index/source.ts';
import { visibleNotes } from './policy.ts';

/** How notes are searched. */
export const noteSearch = searchSource({
  model: 'Note',
  code: 2,
  title: 'title',
  text: 'description',
  time: 'insertedAt',
  scope: SCOPE_OF_OWNER,
  isSeenWhole: true,
  scopesOf: async ({ viewer }) => ownedScopes(viewer),
  visible: visibleNotes,
});
