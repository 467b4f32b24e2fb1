import type { Note } from '../generated/client/client.ts';
import { legacyModel } from '../legacy-socket/model.ts';
import { listedNoteBody } from './bodies.ts';
import { findNote } from './service.ts';
import { watchNotes } from './watch.ts';

/** Notes, as clients of `/ws/subscribe/` know them. */
export const noteLegacyModels = [
  legacyModel<Note>({
    name: 'notes.Note',
    of: 'Note',
    parameters: {},
    groups: [],
    watch: watchNotes,
    find: findNote,
    instance: listedNoteBody,
  }),
];
