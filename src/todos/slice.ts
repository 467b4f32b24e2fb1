import { SCOPE_OF_OWNER } from '../identity/ownership.ts';
import type { Slice } from '../slice.ts';
import { todoLegacyModels } from './legacy-socket.ts';
import { defineTodoMutations } from './mutations-schema.ts';
import { TODO_RESOURCES } from './rest.ts';
import { defineTodos } from './schema.ts';
import { todoSearch } from './search.ts';
import { defineTodoSubscriptions } from './subscriptions.ts';

/** Todos, each in one list or in none. */
export const todos: Slice = {
  models: { Todo: { scope: SCOPE_OF_OWNER, unfiltered: ['description'] } },
  search: [todoSearch],
  schema: [defineTodos, defineTodoMutations, defineTodoSubscriptions],
  rest: () => TODO_RESOURCES,
  legacyModels: todoLegacyModels,
};
