import type { Note } from '../generated/client/client.ts';
import { legacyModel } from '../legacy-socket/model.ts';
import { listedNoteBody } from './bodies.ts';
import { findNote } from './service.ts';
import { watchNotes } from './watch.ts';

/** The model of notes for clients of `/ws/subscribe/`. */
export const noteLegacyModels = [
  legacyModel<Note>({
    name: 'notes.Note',
    source: 'Note',
    parameters: {},
    groups: [],
    watch: watchNotes,
    find: findNote,
    instance: listedNoteBody,
  }),
];
