import { accounts } from './accounts/slice.ts';
import { chat } from './chat/slice.ts';
import { notes } from './notes/slice.ts';
import { posts } from './posts/slice.ts';
import type { Slice } from './slice.ts';
import { todos } from './todos/slice.ts';

/** Every domain of the server. */
export const SLICES: readonly Slice[] = [accounts, todos, posts, chat, notes];
