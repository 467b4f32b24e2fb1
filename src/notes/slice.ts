import { SCOPE_OF_OWNER } from '../identity/ownership.ts';
import type { Slice } from '../slice.ts';
import { noteLegacyModels } from './legacy-socket.ts';
import { NOTE_RESOURCES } from './rest.ts';
import { defineNotes } from './schema.ts';
import { noteSearch } from './search.ts';
import { defineNoteSubscriptions } from './subscriptions.ts';

/** Notes: short texts with a priority. */
export const notes: Slice = {
  models: { Note: { scope: SCOPE_OF_OWNER } },
  search: [noteSearch],
  schema: [defineNotes, defineNoteSubscriptions],
  rest: () => NOTE_RESOURCES,
  legacyModels: noteLegacyModels,
};
