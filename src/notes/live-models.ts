import type { Note } from '../generated/client/client.ts';
import { liveModel } from '../rest/live/model.ts';
import { listedNoteBody } from './bodies.ts';
import { watchNotes } from './live.ts';
import { findNote } from './service.ts';

/** Notes, as clients of `/ws/subscribe/` know them. */
export const noteLiveModels = [
  liveModel<Note>({
    name: 'notes.Note',
    of: 'Note',
    parameters: {},
    groups: [],
    watch: watchNotes,
    find: findNote,
    instance: listedNoteBody,
  }),
];
