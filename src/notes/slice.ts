import { SCOPE_OF_OWNER } from '../accounts/scopes.ts';
import type { Slice } from '../slice.ts';

export const notes: Slice = { log: { Note: { scope: SCOPE_OF_OWNER } } };
