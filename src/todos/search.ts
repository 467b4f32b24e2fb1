import { ownedScopes, SCOPE_OF_OWNER } from '../identity/ownership.ts';
import { searchSource } from '../search-index/source.ts';
import { visibleTodos } from './policy.ts';

/** How todos are searched. */
export const todoSearch = searchSource({
  model: 'Todo',
  code: 1,
  title: 'title',
  text: 'description',
  time: 'createdAt',
  scope: SCOPE_OF_OWNER,
  isSeenWhole: true,
  scopesOf: async ({ viewer }) => ownedScopes(viewer),
  visible: visibleTodos,
});
