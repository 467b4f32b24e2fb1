import { z } from 'zod';
import { limitAnonymousWrite } from '../accounts/write-limits.ts';
import type { Context } from '../context.ts';
import { NotFoundError } from '../errors.ts';
import type { Note } from '../generated/client/client.ts';
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

async function existingNote(context: Context, id: string): Promise<Note> {
  const note = await findNote(context, id);
  if (!note) {
    throw new NotFoundError();
  }
  return note;
}

/** The service's names for the fields of a body. */
function valuesOf({ created_at, created_by, ...fields }: z.infer<typeof creation>) {
  return {
    ...fields,
    ...(created_at !== undefined && { createdAt: created_at }),
    ...(created_by !== undefined && { createdBy: created_by }),
  };
}

const shared = { tag: 'Notes', dialect: NOTES, access: 'open', challenge: 'Token' } as const;
const MISSING = { 404: 'There is no such note that the caller may see.' };
const TOO_MANY = { 429: 'Too many writes without a credential: `Retry-After` says in how many seconds to try again.' };
const REFUSED = { 400: 'Fields that are refused.', ...TOO_MANY };

/** The notes app's paths. */
export const NOTE_RESOURCES: readonly Resource[] = [
  {
    ...shared,
    path: '/notes',
    name: 'Notes',
    description: 'The notes that the caller sees, by id.',
    methods: {
      GET: {
        summary: 'Lists the notes',
        answers: { 200: 'All notes that the caller sees.' },
        handle: async ({ context }) => ({
          status: 200,
          list: { name: 'notes', items: (layout) => notesAsJson(context, LISTED_NOTE, layout) },
        }),
      },
      POST: operation({
        summary: 'Makes a note',
        body: creation,
        answers: { 201: 'The whole list; nothing but `Location` with `Prefer: return=minimal`.', ...REFUSED },
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
          body: noteBody(await existingNote(context, params['id'] ?? '')),
        }),
      },
      PUT: operation({
        summary: 'Changes a whole note',
        body: replacement,
        answers: { 201: 'The note, without its id.', ...REFUSED, ...MISSING },
        guard: ({ context, params }) => existingNote(context, params['id'] ?? ''),
        handle: async ({ context, params, body }) => ({
          status: 201,
          body: noteBody(await updateNote(context, params['id'] ?? '', valuesOf(body))),
        }),
      }),
      DELETE: {
        summary: 'Deletes a note',
        answers: { 204: 'It is gone.', ...MISSING, ...TOO_MANY },
        handle: async ({ context, params }) => {
          await deleteNote(context, params['id'] ?? '');
          return { status: 204 };
        },
      },
    },
  },
];
