import { z } from 'zod';
import type { Context } from '../context.ts';
import type { RowCondition } from '../database/condition.ts';
import { orNotFound } from '../database/failures.ts';
import { jsonOfRows } from '../database/json-rows.ts';
import type { JsonLayout, JsonShape } from '../database/json-sql.ts';
import { filterCondition, type ListArguments, type ListFilter, timeRange } from '../database/list-filters.ts';
import { type OrderColumns, type Page, readPage } from '../database/page.ts';
import { insertRow, updateRow } from '../database/rows.ts';
import type { RowQuery } from '../database/select-sql.ts';
import type { Note } from '../generated/client/client.ts';
import { ownerOfNewRow } from '../identity/ownership.ts';
import { findVisible } from '../identity/visible-rows.ts';
import { limitAnonymousWrite } from '../identity/write-limits.ts';
import { filterText, int32, requireId, text, type Unvalidated, validate } from '../validation.ts';
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

export type NewNote = Unvalidated<z.input<typeof newNote>>;
export type NoteChanges = Unvalidated<z.input<typeof noteChanges>>;

/** The conditions on a list of notes; a condition that is left out or null does not apply. */
export interface NoteFilter extends ListFilter<NoteFilter> {
  readonly titleContains?: string | null | undefined;
  readonly createdBy?: string | null | undefined;
  readonly minPriority?: number | null | undefined;
  readonly maxPriority?: number | null | undefined;
  readonly createdAtFrom?: string | null | undefined;
  readonly createdAtBefore?: string | null | undefined;
  readonly insertedFrom?: Date | null | undefined;
  readonly insertedBefore?: Date | null | undefined;
  readonly updatedFrom?: Date | null | undefined;
  readonly updatedBefore?: Date | null | undefined;
}

function noteCondition(filter: Partial<NoteFilter>): RowCondition<'Note'> {
  const { titleContains, createdBy, minPriority, maxPriority, createdAtFrom, createdAtBefore } = filter;
  return {
    ...(titleContains != null && { title: { contains: filterText('titleContains', titleContains, MAX_TEXT) } }),
    ...(createdBy != null && { createdBy: filterText('createdBy', createdBy, MAX_TEXT) }),
    ...((minPriority != null || maxPriority != null) && {
      priority: { ...(minPriority != null && { gte: minPriority }), ...(maxPriority != null && { lte: maxPriority }) },
    }),
    ...((createdAtFrom ?? createdAtBefore) != null && {
      createdAt: {
        ...(createdAtFrom != null && { gte: filterText('createdAtFrom', createdAtFrom, MAX_TEXT) }),
        ...(createdAtBefore != null && { lt: filterText('createdAtBefore', createdAtBefore, MAX_TEXT) }),
      },
    }),
    ...timeRange('insertedAt', filter.insertedFrom, filter.insertedBefore),
    ...timeRange('updatedAt', filter.updatedFrom, filter.updatedBefore),
  };
}

/** Returns one page of the notes that the viewer may see; see {@link readPage} for its errors. */
export async function listNotes(
  context: Context,
  { filter, order, page }: ListArguments<NoteFilter, typeof NOTE_ORDERS>,
): Promise<Page<Note>> {
  const where = visibleNotes(context.viewer);
  return readPage(
    context,
    { model: 'Note', where, filter: filterCondition(filter, noteCondition), columns: NOTE_ORDERS },
    page,
    order,
  );
}

/** Returns all notes that the viewer may see, by id, as JSON; see {@link jsonOfRows}. */
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

/** Returns the note with this id if the viewer may see it; batched. */
export function findNote(context: Context, id: string | number): Promise<Note | undefined> {
  return findVisible(context, 'Note', id, visibleNotes(context.viewer));
}

/** Creates a note. `createdAt` defaults to the current minute in UTC, and `createdBy` to the viewer's username or, for an anonymous viewer, to an empty text. */
export async function createNote({ database, viewer }: Context, input: NewNote): Promise<Note> {
  const { createdAt, createdBy, ...fields } = validate(newNote, input);
  return insertRow(database, 'Note', {
    ...fields,
    createdAt: createdAt ?? currentMinute(),
    createdBy: createdBy ?? (viewer.kind === 'user' ? [...viewer.username].slice(0, MAX_TEXT).join('') : ''),
    ownerId: ownerOfNewRow(viewer),
  });
}

/**
 * Changes the given fields of a note.
 *
 * @throws {NotFoundError} when there is no such note that the viewer may see
 * @throws {OverloadedError} after too many anonymous writes
 */
export async function updateNote(context: Context, id: string | number, input: NoteChanges): Promise<Note> {
  await limitAnonymousWrite(context);
  const { database, viewer } = context;
  const data = validate(noteChanges, input);
  return updateRow(database, 'Note', writable(viewer, id), data);
}

/**
 * Deletes a note and returns it as it was.
 *
 * @throws {NotFoundError} when there is no such note that the viewer may see
 * @throws {OverloadedError} after too many anonymous writes
 */
export async function deleteNote(context: Context, id: string | number): Promise<Note> {
  await limitAnonymousWrite(context);
  const { database, viewer } = context;
  return orNotFound(database.note.delete({ where: writable(viewer, id) }));
}

function writable(viewer: Context['viewer'], id: string | number) {
  return { id: requireId(id), AND: [visibleNotes(viewer)] };
}

function currentMinute(): string {
  return new Date().toISOString().slice(0, '2017-08-23T00:00'.length).replace('T', ' ');
}
