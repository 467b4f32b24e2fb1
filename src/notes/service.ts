import { z } from 'zod';
import { ownerOfNewRow } from '../accounts/policy.ts';
import { limitAnonymousWrite } from '../accounts/write-limits.ts';
import type { Context } from '../context.ts';
import { findBatched } from '../database/batch.ts';
import type { RowCondition } from '../database/condition.ts';
import { orNotFound } from '../database/failures.ts';
import { jsonOfRows } from '../database/json-rows.ts';
import type { JsonLayout, JsonShape } from '../database/json-sql.ts';
import { type Order, type OrderColumns, type Page, type PageArguments, readPage } from '../database/page.ts';
import { findRows, insertRow, updateRow } from '../database/rows.ts';
import type { RowQuery } from '../database/select-sql.ts';
import type { Note } from '../generated/client/client.ts';
import { existingId, filterText, int32, text, type Unchecked, validate } from '../validation.ts';
import { visibleNotes } from './policy.ts';

const MAX_TEXT = 50;

export const NOTE_ORDERS = {
  id: 'number',
  title: 'text',
  priority: 'number',
  createdAt: 'text',
  insertedAt: 'date',
  updatedAt: 'date',
} as const satisfies OrderColumns;

export const newNote = z.object({
  title: text(MAX_TEXT),
  description: text(MAX_TEXT, { blank: true }),
  priority: int32(),
  createdAt: text(MAX_TEXT, { blank: true }).optional(),
  createdBy: text(MAX_TEXT, { blank: true }).optional(),
});
const noteChanges = newNote.partial();

export type NewNote = Unchecked<z.input<typeof newNote>>;
export type NoteChanges = Unchecked<z.input<typeof noteChanges>>;

/** Narrows a list of notes; what is left out does not narrow. */
export interface NoteFilter {
  readonly titleContains?: string | null | undefined;
  readonly createdBy?: string | null | undefined;
  readonly minPriority?: number | null | undefined;
  readonly maxPriority?: number | null | undefined;
}

function filterWhere(filter: NoteFilter | null | undefined): RowCondition<'Note'> {
  const { titleContains, createdBy, minPriority, maxPriority } = filter ?? {};
  return {
    ...(titleContains != null && { title: { contains: filterText('titleContains', titleContains, MAX_TEXT) } }),
    ...(createdBy != null && { createdBy: filterText('createdBy', createdBy, MAX_TEXT) }),
    ...((minPriority != null || maxPriority != null) && {
      priority: { ...(minPriority != null && { gte: minPriority }), ...(maxPriority != null && { lte: maxPriority }) },
    }),
  };
}

/** One page of the notes that the viewer sees; see {@link readPage} for its failures. */
export async function listNotes(
  context: Context,
  filter: NoteFilter | null | undefined,
  order: Order<keyof typeof NOTE_ORDERS>,
  page: PageArguments,
): Promise<Page<Note>> {
  return readPage(
    context,
    {
      model: 'Note',
      where: visibleNotes(context.viewer),
      filter: filterWhere(filter),
      columns: NOTE_ORDERS,
    },
    page,
    order,
  );
}

/** All notes that the viewer sees, by id, as JSON; see {@link jsonOfRows}. */
export function notesAsJson(
  { database, viewer }: Context,
  shape: JsonShape,
  layout: JsonLayout,
): AsyncIterable<string> {
  const visible = visibleNotes(viewer);
  const after = (last: Note | null): RowQuery<'Note'> => ({
    where: { AND: [visible, { id: { gt: last?.id ?? 0 } }] },
    orderBy: [{ id: 'asc' }],
  });
  return jsonOfRows(database, { model: 'Note', shape, visible }, after, layout);
}

/** The note with this id, when the viewer sees it; batched. */
export function findNote(context: Context, id: string | number): Promise<Note | undefined> {
  const { database, viewer } = context;
  return findBatched(context, 'Note', id, (ids) =>
    findRows(database, 'Note', { where: { AND: [{ id: { in: ids } }, visibleNotes(viewer)] } }),
  );
}

/** Makes a note. Left out, `createdAt` is the present minute in UTC and `createdBy` the viewer's username or empty. */
export async function createNote({ database, viewer }: Context, input: NewNote): Promise<Note> {
  const { createdAt, createdBy, ...fields } = validate(newNote, input);
  return insertRow(database, 'Note', {
    ...fields,
    createdAt: createdAt ?? presentMinute(),
    createdBy: createdBy ?? (viewer.kind === 'user' ? [...viewer.username].slice(0, MAX_TEXT).join('') : ''),
    ownerId: ownerOfNewRow(viewer),
  });
}

/**
 * Changes the fields that are given.
 *
 * @throws {NotFoundError} when the viewer sees no such note
 * @throws {OverloadedError} after too many writes without a credential
 */
export async function updateNote(context: Context, id: string | number, input: NoteChanges): Promise<Note> {
  await limitAnonymousWrite(context);
  const { database, viewer } = context;
  const data = validate(noteChanges, input);
  return updateRow(database, 'Note', writable(viewer, id), data);
}

/**
 * Deletes a note and gives what it was.
 *
 * @throws {NotFoundError} when the viewer sees no such note
 * @throws {OverloadedError} after too many writes without a credential
 */
export async function deleteNote(context: Context, id: string | number): Promise<Note> {
  await limitAnonymousWrite(context);
  const { database, viewer } = context;
  return orNotFound(database.note.delete({ where: writable(viewer, id) }));
}

function writable(viewer: Context['viewer'], id: string | number) {
  return { id: existingId(id), AND: [visibleNotes(viewer)] };
}

function presentMinute(): string {
  return new Date().toISOString().slice(0, '2017-08-23T00:00'.length).replace('T', ' ');
}
