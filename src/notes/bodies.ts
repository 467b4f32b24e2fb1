import type { JsonShape } from '../database/json-sql.ts';
import type { Note } from '../generated/client/client.ts';

/** A note as its own path shows it, without its id. */
export function noteBody({ title, description, createdAt, createdBy, priority }: Omit<Note, 'ownerId'>) {
  return { title, description, created_at: createdAt, created_by: createdBy, priority };
}

/** A note as subscribers of a list know it. */
export function listedNoteBody(note: Omit<Note, 'ownerId'>) {
  return { id: note.id, ...noteBody(note) };
}

/** A note in a list, as {@link listedNoteBody} shows it. */
export const LISTED_NOTE = {
  id: 'id',
  title: 'title',
  description: 'description',
  created_at: 'createdAt',
  created_by: 'createdBy',
  priority: 'priority',
} as const satisfies JsonShape;
