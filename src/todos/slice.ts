import { SCOPE_OF_OWNER } from '../accounts/scopes.ts';
import type { Slice } from '../slice.ts';

export const todos: Slice = {
  log: {
    TodoList: { scope: SCOPE_OF_OWNER },
    Todo: { scope: SCOPE_OF_OWNER, unfiltered: ['description'] },
  },
};
