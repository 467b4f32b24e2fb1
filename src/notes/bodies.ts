import type { JsonShape } from '../database/json-sql.ts';
import type { Note } from '../generated/client/client.ts';

/** Returns a note as its own path shows it, without its id. */
export function noteBody({ title, description, createdAt, createdBy, priority }: Omit<Note, 'ownerId'>) {
  return { title, description, created_at: createdAt, created_by: createdBy, priority };
}

/** Returns a note as lists show it, with its id. */
export function listedNoteBody(note: Omit<Note, 'ownerId'>) {
  return { id: note.id, ...noteBody(note) };
}

/** The shape of a note in a list, the same as that of {@link listedNoteBody}. */
export const LISTED_NOTE = {
  id: 'id',
  title: 'title',
  description: 'description',
  created_at: 'createdAt',
  created_by: 'createdBy',
  priority: 'priority',
} as const satisfies JsonShape;
