import { audit } from './audit/slice.ts';
import { chat } from './chat/slice.ts';
import { notes } from './notes/slice.ts';
import { posts } from './posts/slice.ts';
import { search } from './search/slice.ts';
import type { SearchSource } from './search-index/source.ts';
import { sessions } from './sessions/slice.ts';
import type { Slice } from './slice.ts';
import { todoLists } from './todo-lists/slice.ts';
import { todos } from './todos/slice.ts';
import { users } from './users/slice.ts';

/** The slices of the domains, in the order of the OpenAPI document. A slice imports only slices before it, namely those that the architecture test allows. */
const DOMAINS: readonly Slice[] = [audit, sessions, users, todoLists, todos, posts, chat, notes];

/** What `Query.search` searches. */
export const SEARCHED: readonly SearchSource[] = DOMAINS.flatMap(({ search }) => search ?? []);

/** All slices. */
export const SLICES: readonly Slice[] = [...DOMAINS, search(SEARCHED)];

/** The models of all slices, with the rules by which their changes are logged. */
export const MODELS: Slice['models'] = Object.assign({}, ...SLICES.map(({ models }) => models));
