import type { RowImage } from '../changes/models.ts';
import type { StreamEvent, Watch } from '../changes/watch.ts';
import type { Context } from '../context.ts';
import type { Builder, SchemaTypes } from './builder.ts';

/** What all change subscriptions of one schema share. */
function defineAction(builder: Builder) {
  return builder.enumType('ChangeAction', {
    description: 'What happened to an object, seen from what the subscriber may see and asked for.',
    values: {
      CREATED: {
        value: 'CREATED',
        description: 'It is there now: it was made, or has come into what the subscriber watches.',
      },
      UPDATED: { value: 'UPDATED', description: 'It was written, and is still there.' },
      DELETED: {
        value: 'DELETED',
        description: 'It is gone: deleted, or out of what the subscriber watches or may see.',
      },
    } as const,
  });
}

const actions = new WeakMap<Builder, ReturnType<typeof defineAction>>();

type ModelName = keyof SchemaTypes['Objects'];

/** Adds the type of the events of a model: `{ action cursor id <field> }`. */
export function defineChange<Model extends ModelName>(builder: Builder, model: Model, field: string) {
  const action = actions.get(builder) ?? defineAction(builder);
  actions.set(builder, action);
  return builder.objectRef<StreamEvent>(`${model}Change`).implement({
    description: `One committed change of a ${model}.`,
    fields: (t) => ({
      action: t.expose('action', { type: action, description: 'What happened.' }),
      cursor: t.exposeString('cursor', {
        description:
          'The place of the change in the log: pass it as `after` to go on from here. A cursor seen before marks a duplicate.',
      }),
      id: t.exposeID('id', { description: 'The id of the object.' }),
      [field]: t.field({
        type: model,
        nullable: true,
        description: 'The object as the change left it; null when it is DELETED.',
        // An image in the log has the columns of its model's row.
        resolve: (event) => event.row as (RowImage & SchemaTypes['Objects'][Model]) | null as never,
      }),
    }),
  });
}

export const AFTER = {
  description: 'Only what happened after this cursor, of `Query.cursor` or an event; without it, only what is to come.',
} as const;

/** The events of a watch, for the subscriber of an operation; an event stream that was interrupted goes on where it was. */
export async function follow(
  { feed, connection }: Context,
  after: string | null | undefined,
  watch: Watch,
): Promise<AsyncIterable<StreamEvent>> {
  return feed.subscribe(watch, resumeAfter({ connection }, after), () => connection?.overflow());
}

/** Where a subscription starts: at the cursor that the transport brings, or that of its argument. */
export function resumeAfter(
  { connection }: Pick<Context, 'connection'>,
  after: string | null | undefined,
): string | null {
  return connection?.resumeAfter ?? after ?? null;
}

/** Adds `Query.cursor`. */
export function defineCursorQuery(builder: Builder): void {
  builder.queryField('cursor', (t) =>
    t.string({
      description:
        'The present position of the change log. Read it with or before a snapshot and subscribe `after` it: nothing falls between.',
      resolve: (_root, _args, { cursor }) => cursor,
    }),
  );
}
