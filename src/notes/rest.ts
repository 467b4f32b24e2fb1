import { z } from 'zod';
import type { Context } from '../context.ts';
import { NotFoundError } from '../errors.ts';
import type { Note } from '../generated/client/client.ts';
import { limitAnonymousWrite } from '../identity/write-limits.ts';
import { NOTES } from '../rest/dialect.ts';
import { integerField, textField } from '../rest/fields.ts';
import { operation, type Resource } from '../rest/resource.ts';
import { LISTED_NOTE, noteBody } from './bodies.ts';
import { createNote, deleteNote, findNote, newNote, notesAsJson, updateNote } from './service.ts';

const { title, description, priority, createdAt, createdBy } = newNote.shape;
const required = {
  title: textField(title),
  description: textField(description),
  priority: integerField(priority),
};
const creation = z.object({
  ...required,
  created_at: textField(createdAt).optional(),
  created_by: textField(createdBy).optional(),
});
const replacement = z.object({
  ...required,
  created_at: textField(createdAt.unwrap()),
  created_by: textField(createdBy.unwrap()),
});

/** @throws {NotFoundError} when there is no such note that the viewer may see */
async function requireNote(context: Context, id: string): Promise<Note> {
  const note = await findNote(context, id);
  if (!note) {
    throw new NotFoundError();
  }
  return note;
}

/** Returns the fields of a body under the names of the service. */
function valuesOf({ created_at, created_by, ...fields }: z.infer<typeof creation>) {
  return {
    ...fields,
    ...(created_at !== undefined && { createdAt: created_at }),
    ...(created_by !== undefined && { createdBy: created_by }),
  };
}

const shared = { tag: 'Notes', dialect: NOTES, access: 'open', challenge: 'Token' } as const;
const MISSING = { 404: 'There is no such note that the caller may see.' };
const TOO_MANY = { 429: 'Too many anonymous writes; `Retry-After` has the seconds until the next attempt.' };
const REJECTED = { 400: 'The rejected fields, with the reasons.', ...TOO_MANY };

/** The documented paths of the notes application. */
export const NOTE_RESOURCES: readonly Resource[] = [
  {
    ...shared,
    path: '/notes',
    name: 'Notes',
    description: 'The notes that the caller sees, by id.',
    methods: {
      GET: {
        summary: 'Lists the notes',
        answers: { 200: 'All notes that the caller may see.' },
        handle: async ({ context }) => ({
          status: 200,
          list: { name: 'notes', items: (layout) => notesAsJson(context, LISTED_NOTE, layout) },
        }),
      },
      POST: operation({
        summary: 'Creates a note',
        body: creation,
        answers: { 201: 'The whole list; only `Location` with `Prefer: return=minimal`.', ...REJECTED },
        prepare: ({ context }) => limitAnonymousWrite(context),
        handle: async ({ context, body, headers }) => {
          const { id } = await createNote(context, valuesOf(body));
          const location = { location: `/notes/${id}` };
          return /\breturn\s*=\s*minimal\b/i.test(String(headers['prefer'] ?? ''))
            ? { status: 201, headers: { ...location, 'preference-applied': 'return=minimal' } }
            : { status: 201, headers: location, asGet: true };
        },
      }),
    },
  },
  {
    ...shared,
    path: '/notes/:id',
    name: 'Note',
    description: 'One note.',
    methods: {
      GET: {
        summary: 'Reads a note',
        answers: { 200: 'The note, without its id.', ...MISSING },
        handle: async ({ context, params }) => ({
          status: 200,
          body: noteBody(await requireNote(context, params['id'] ?? '')),
        }),
      },
      PUT: operation({
        summary: 'Changes a whole note',
        body: replacement,
        answers: { 201: 'The note, without its id.', ...REJECTED, ...MISSING },
        guard: ({ context, params }) => requireNote(context, params['id'] ?? ''),
        handle: async ({ context, params, body }) => ({
          status: 201,
          body: noteBody(await updateNote(context, params['id'] ?? '', valuesOf(body))),
        }),
      }),
      DELETE: {
        summary: 'Deletes a note',
        answers: { 204: 'The note is deleted.', ...MISSING, ...TOO_MANY },
        handle: async ({ context, params }) => {
          await deleteNote(context, params['id'] ?? '');
          return { status: 204 };
        },
      },
    },
  },
];
