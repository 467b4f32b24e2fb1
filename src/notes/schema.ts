import { NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { IDEMPOTENCY_KEY, idempotent } from '../graphql/idempotent-mutation.ts';
import { defineFilter, timeRangeFields, toListFilter } from '../graphql/list-filters.ts';
import { selectsNodeField } from '../graphql/look-ahead.ts';
import { nodeOptions } from '../graphql/node.ts';
import { toDatabaseId } from '../graphql/node-ids.ts';
import { connectionComplexity, defineOrder, toConnection, toOrder } from '../graphql/relay-connection.ts';
import { loadUser, withUsers } from '../identity/named-users.ts';
import { createNote, deleteNote, findNote, listNotes, NOTE_ORDERS, type NoteFilter, updateNote } from './service.ts';

/** Defines the type of notes, its queries and its mutations. */
export function defineNotes(builder: Builder): void {
  defineNoteType(builder);
  defineNoteQueries(builder);
  defineNoteMutations(builder);
}

function defineNoteType(builder: Builder): void {
  const note = builder.prismaObject('Note', {
    fields: (t) => ({
      databaseId: t.exposeInt('id'),
      title: t.exposeString('title'),
      description: t.exposeString('description'),
      priority: t.exposeInt('priority'),
      createdAt: t.exposeString('createdAt'),
      createdBy: t.exposeString('createdBy'),
      insertedAt: t.expose('insertedAt', { type: 'DateTime' }),
      updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
      owner: t.field({
        type: 'User',
        nullable: true,
        description:
          'The user who owns the note, and who alone besides staff may read and change it. Null without an owner: everybody may then read and change it.',
        resolve: (note, _args, context) => (note.ownerId === null ? null : loadUser(context, note.ownerId, note)),
      }),
    }),
  });
  builder.nodeRef(note, nodeOptions(findNote));
}

function defineNoteQueries(builder: Builder): void {
  const filter = defineFilter<NoteFilter>(builder, 'Note', 'notes', (t) => ({
    titleContains: t.string({
      description:
        'Only notes whose title contains this text of at most 50 characters; upper and lower case ASCII letters are equal.',
    }),
    createdBy: t.string({ description: 'Only notes whose `createdBy` equals this text of at most 50 characters.' }),
    minPriority: t.int({ description: 'Only notes with this `priority` or a larger number.' }),
    maxPriority: t.int({ description: 'Only notes with this `priority` or a smaller number.' }),
    createdAtFrom: t.string({
      description:
        'Only notes whose `createdAt` is this text of at most 50 characters or comes after it, by Unicode code points.',
    }),
    createdAtBefore: t.string({
      description:
        'Only notes whose `createdAt` comes before this text of at most 50 characters, by Unicode code points.',
    }),
    ...timeRangeFields(t, 'inserted', 'notes created on this server'),
    ...timeRangeFields(t, 'updated', 'notes last changed'),
  }));
  const order = defineOrder(builder, 'Note', NOTE_ORDERS);

  builder.queryFields((t) => ({
    note: t.field({
      type: 'Note',
      nullable: true,
      description: 'A note by its `id`; null when it does not exist or the viewer may not see it.',
      args: { id: t.arg.id({ required: true, description: 'The `id` of the note.' }) },
      resolve: (_root, { id }, context) => findNote(context, toDatabaseId('Note', id)),
    }),
    notes: t.connection(
      {
        type: 'Note',
        description:
          'The notes that the viewer may see, page by page: their own and those without an owner; for staff all notes, and without a credential only those without an owner.',
        complexity: connectionComplexity,
        args: {
          filter: t.arg({ type: filter, description: 'Returns only the notes that meet these conditions.' }),
          orderBy: t.arg({ type: order, description: 'The sort order; by `id`, oldest first, when left out.' }),
        },
        resolve: (_root, { filter, orderBy, ...page }, context, info) => {
          const read = listNotes(context, { filter: toListFilter(filter, 'Note'), order: toOrder(orderBy), page });
          return toConnection(
            selectsNodeField(info, 'owner') ? withUsers(context, read, ({ ownerId }) => ownerId) : read,
          );
        },
      },
      { name: 'NoteConnection', description: 'A page of a list of notes.' },
      { name: 'NoteEdge', description: 'A note of a page, with its cursor.' },
    ),
  }));
}

function defineNoteMutations(builder: Builder): void {
  const newNote = builder.inputType('CreateNoteInput', {
    description: 'The fields of a new note.',
    fields: (t) => ({
      title: t.string({
        required: true,
        description: 'The title, 1 to 50 characters; white space around it is removed.',
      }),
      description: t.string({
        required: true,
        description: 'The text of the note, at most 50 characters; it may be empty.',
      }),
      priority: t.int({
        required: true,
        description: 'The priority, any 32-bit integer; the server attaches no meaning to it.',
      }),
      createdAt: t.string({
        description:
          'The date that the note shows, a text of at most 50 characters. When left out, the current minute in UTC, like `2017-08-23 00:00`.',
      }),
      createdBy: t.string({
        description:
          'The author that the note shows, a text of at most 50 characters. When left out, the username of the viewer, or empty without a credential.',
      }),
    }),
  });
  const changes = builder.inputType('UpdateNoteInput', {
    description: 'The fields of a note to change. A field that is left out keeps its value; null is rejected.',
    fields: (t) => ({
      title: t.string({ description: 'The new title, 1 to 50 characters; white space around it is removed.' }),
      description: t.string({ description: 'The new text of the note, at most 50 characters; it may be empty.' }),
      priority: t.int({ description: 'The new priority, any 32-bit integer.' }),
      createdAt: t.string({ description: 'The date that the note shows, a text of at most 50 characters.' }),
      createdBy: t.string({ description: 'The author that the note shows, a text of at most 50 characters.' }),
    }),
  });

  builder.mutationFields((t) => ({
    createNote: t.field({
      type: 'Note',
      description:
        'Creates a note that the viewer owns. Without a credential it has no owner, so that everybody may read and change it; `UNAUTHENTICATED` where the server does not allow that, `RATE_LIMITED` after too many such writes from one IP address.',
      errors: { types: [ValidationError] },
      args: {
        input: t.arg({ type: newNote, required: true, description: 'The fields of the new note.' }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: idempotent('createNote', (context, { input }) => createNote(context, input)),
    }),
    updateNote: t.field({
      type: 'Note',
      description: 'Changes a note that the viewer may see.',
      errors: { types: [ValidationError, NotFoundError] },
      args: {
        id: t.arg.id({ required: true, description: 'The `id` of the note.' }),
        input: t.arg({ type: changes, required: true, description: 'The fields to change.' }),
      },
      resolve: (_root, { id, input }, context) => updateNote(context, toDatabaseId('Note', id), input),
    }),
    deleteNote: t.field({
      type: 'Note',
      description: 'Deletes a note that the viewer may see, and returns it as it was.',
      errors: { types: [NotFoundError] },
      args: { id: t.arg.id({ required: true, description: 'The `id` of the note.' }) },
      resolve: (_root, { id }, context) => deleteNote(context, toDatabaseId('Note', id)),
    }),
  }));
}
