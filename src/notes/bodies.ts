import type { Note } from '../generated/client/client.ts';

/** A note as its own path shows it, without its id. */
export function noteBody({ title, description, createdAt, createdBy, priority }: Omit<Note, 'ownerId'>) {
  return { title, description, created_at: createdAt, created_by: createdBy, priority };
}

/** A note in a list. */
export function listedNoteBody(note: Omit<Note, 'ownerId'>) {
  const { title, description, created_at, created_by, priority } = noteBody(note);
  return { id: note.id, title, description, created_at, created_by, priority };
}
