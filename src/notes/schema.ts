import { loadUser, withUsers } from '../accounts/service.ts';
import { NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { defineOrder, orderOf, pageCost, toConnection } from '../graphql/connection.ts';
import { IDEMPOTENCY_KEY, repeatable } from '../graphql/idempotency.ts';
import { asksOfNodes } from '../graphql/look-ahead.ts';
import { nodeOptions } from '../graphql/node.ts';
import { createNote, deleteNote, findNote, listNotes, NOTE_ORDERS, updateNote } from './service.ts';

/** Adds notes: the type, its reads and its writes. */
export function defineNotes(builder: Builder): void {
  const note = builder.prismaObject('Note', {
    fields: (t) => ({
      id: t.exposeID('id'),
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
        description: 'Whose it is; null when it is everybody’s.',
        resolve: (note, _args, context) => (note.ownerId === null ? null : loadUser(context, note.ownerId, note)),
      }),
    }),
  });
  builder.nodeRef(note, nodeOptions(findNote));

  const filter = builder.inputType('NoteFilter', {
    description: 'Narrows a list of notes; conditions add up.',
    fields: (t) => ({
      titleContains: t.string({
        description: 'Only those with this text in their title, in any case of ASCII letters.',
      }),
      createdBy: t.string({ description: 'Only those whose `createdBy` is exactly this.' }),
      minPriority: t.int({ description: 'Only those of this priority or more.' }),
      maxPriority: t.int({ description: 'Only those of this priority or less.' }),
    }),
  });
  const order = defineOrder(builder, 'Note', NOTE_ORDERS);

  builder.queryFields((t) => ({
    note: t.field({
      type: note,
      nullable: true,
      description: 'One note; null when there is none that the viewer may see.',
      args: { id: t.arg.id({ required: true, description: 'Its id, as REST has it.' }) },
      resolve: (_root, { id }, context) => findNote(context, id),
    }),
    notes: t.connection(
      {
        type: note,
        description: 'The notes that the viewer sees.',
        complexity: pageCost,
        args: {
          filter: t.arg({ type: filter, description: 'Which of them.' }),
          orderBy: t.arg({ type: order, description: 'In which order; by id when left out.' }),
        },
        resolve: (_root, { filter, orderBy, ...page }, context, info) => {
          const read = listNotes(context, filter, orderOf(orderBy), page);
          return toConnection(asksOfNodes(info, 'owner') ? withUsers(context, read, ({ ownerId }) => ownerId) : read);
        },
      },
      { name: 'NoteConnection', description: 'A page of notes.' },
      { name: 'NoteEdge', description: 'A note at its place in a list.' },
    ),
  }));

  const newNote = builder.inputType('CreateNoteInput', {
    description: 'A note to be made.',
    fields: (t) => ({
      title: t.string({ required: true, description: '1 to 50 characters.' }),
      description: t.string({ required: true, description: 'At most 50 characters.' }),
      priority: t.int({ required: true, description: 'A 32-bit integer; what it means is the writer’s affair.' }),
      createdAt: t.string({
        description:
          'Any text of at most 50 characters; the present minute in UTC when left out, like `2017-08-23 00:00`.',
      }),
      createdBy: t.string({
        description: 'Any text of at most 50 characters; the viewer’s username when left out, or empty.',
      }),
    }),
  });
  const changes = builder.inputType('UpdateNoteInput', {
    description: 'What changes on a note; a field that is left out stays.',
    fields: (t) => ({
      title: t.string({ description: '1 to 50 characters.' }),
      description: t.string({ description: 'At most 50 characters.' }),
      priority: t.int({ description: 'A 32-bit integer.' }),
      createdAt: t.string({ description: 'Any text of at most 50 characters.' }),
      createdBy: t.string({ description: 'Any text of at most 50 characters.' }),
    }),
  });

  builder.mutationFields((t) => ({
    createNote: t.field({
      type: note,
      description: 'Makes a note. Without credentials it belongs to nobody, and so to everybody.',
      errors: { types: [ValidationError] },
      args: {
        input: t.arg({ type: newNote, required: true, description: 'The note.' }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: repeatable('createNote', (context, { input }) => createNote(context, input)),
    }),
    updateNote: t.field({
      type: note,
      description: 'Changes a note.',
      errors: { types: [ValidationError, NotFoundError] },
      args: {
        id: t.arg.id({ required: true, description: 'Which one.' }),
        input: t.arg({ type: changes, required: true, description: 'What changes.' }),
      },
      resolve: (_root, { id, input }, context) => updateNote(context, id, input),
    }),
    deleteNote: t.field({
      type: note,
      description: 'Deletes a note and gives what it was.',
      errors: { types: [NotFoundError] },
      args: { id: t.arg.id({ required: true, description: 'Which one.' }) },
      resolve: (_root, { id }, context) => deleteNote(context, id),
    }),
  }));
}
