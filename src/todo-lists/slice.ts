import { SCOPE_OF_OWNER } from '../identity/ownership.ts';
import type { Slice } from '../slice.ts';
import { defineTodoLists } from './schema.ts';
import { defineTodoListSubscriptions } from './subscriptions.ts';

/** Named lists of todos. Their model of `/ws/subscribe/` contains the todos of a list, so it is in `todos/`. */
export const todoLists: Slice = {
  models: { TodoList: { scope: SCOPE_OF_OWNER } },
  schema: [defineTodoLists, defineTodoListSubscriptions],
};
