import { createSourceEventStream, type ExecutionResult, getOperationAST } from 'graphql';
import type { RowImage } from '../changes/change.ts';
import type { EventStream, Sink } from '../changes/delivery.ts';
import type { ChangeEvent, SubscriptionFilter } from '../changes/filter.ts';
import type { Context } from '../context.ts';
import type { PeerLimits } from '../sockets/peer-limits.ts';
import type { Builder, SchemaTypes } from './builder.ts';
import type { ReportUnexpectedError } from './mask.ts';
import { encodeNodeId } from './node-ids.ts';
import type { OperationArgs } from './operation-args.ts';
import { recordEnd } from './operation-record.ts';
import { executeAcrossOutages, maskResult, SubscriptionRenderer } from './subscription-renderer.ts';
import { coerceVariables } from './variables.ts';

/** Adds the enum of the actions, which all change events of a schema share. */
function defineAction(builder: Builder) {
  return builder.enumType('ChangeAction', {
    description:
      'How a change affects the objects of a subscription: those that the viewer may see and that its arguments select.',
    values: {
      CREATED: {
        value: 'CREATED',
        description:
          'The object is new to the subscription: it was created, or a change moved it among the objects of the subscription. Add it, or replace the object of the same `id`.',
      },
      UPDATED: {
        value: 'UPDATED',
        description: 'The object was written and still belongs to the subscription. Replace it.',
      },
      DELETED: {
        value: 'DELETED',
        description:
          'The object no longer belongs to the subscription: it was deleted, a change moved it out of what the arguments select, or the viewer may no longer see it. Remove it by its `id`.',
      },
    } as const,
  });
}

const actions = new WeakMap<Builder, ReturnType<typeof defineAction>>();

/** Returns the enum of the actions of change events. */
export function changeAction(builder: Builder) {
  const action = actions.get(builder) ?? defineAction(builder);
  actions.set(builder, action);
  return action;
}

/** The description of the field `cursor` of change events. */
export const CURSOR = {
  description:
    'The position of the change in the change log. Keep the cursor of the last event and pass it as `after` to resume the subscription. An event whose cursor was received before is a duplicate.',
} as const;

type ModelName = keyof SchemaTypes['Objects'];

/**
 * Adds the event type of a model: `{ action cursor id <field> }`. `load` reads the object of an event that has no row image, or null when the object is gone in
 * the meantime: then the event is a deletion, which another event of the log repeats. Models whose events always have an image need no `load`.
 */
export function defineChange<Model extends ModelName>(
  builder: Builder,
  model: Model,
  field: string,
  load: (context: Context, event: ChangeEvent) => Promise<object | null> = async () => null,
) {
  return builder.objectRef<ChangeEvent>(`${model}Change`).implement({
    description: `An event of a subscription: one committed change of a ${model}. An event can be delivered twice; when a client applies it as an insert, replacement or deletion by \`id\`, the repetition changes nothing.`,
    fields: (t) => ({
      action: t.field({
        type: changeAction(builder),
        description: 'The effect of the change on the objects of the subscription.',
        resolve: (event, _args, context) =>
          event.row === 'current'
            ? load(context, event).then((object) => (object === null ? 'DELETED' : event.action))
            : event.action,
      }),
      cursor: t.exposeString('cursor', CURSOR),
      id: t.id({
        description: 'The `id` of the changed object, also when the object itself is null.',
        resolve: ({ id }) => encodeNodeId(model, id),
      }),
      [field]: t.field({
        type: model,
        nullable: true,
        description: 'The object after the change; null when `action` is `DELETED`.',
        // A row image in the log has the columns of its model.
        resolve: (event, _args, context) =>
          (event.row === 'current' ? load(context, event) : event.row) as
            | (RowImage & SchemaTypes['Objects'][Model])
            | null as never,
      }),
    }),
  });
}

export const AFTER = {
  description:
    'Resumes the subscription: delivers all changes since this cursor, which is the one of an earlier event or of `Query.cursor`. Without it, only changes from now on are delivered. `BAD_CURSOR` when it is malformed. `RESYNC_REQUIRED` when the log no longer contains all changes since (it keeps 7 days by default): load the data again with `Query.cursor` and subscribe after that. In an event stream, the header `Last-Event-ID` takes precedence.',
} as const;

/**
 * The return value of a field's subscribe function. graphql-js expects an async iterable; the transports take the stream
 * out of it and start it themselves, so that results are shared and a slow client is not sent more than it reads.
 */
export class SubscriptionSource implements AsyncIterable<never> {
  readonly stream: EventStream;

  constructor(stream: EventStream) {
    this.stream = stream;
  }

  [Symbol.asyncIterator](): AsyncIterator<never> {
    return {
      next: async () => {
        this.stream.close();
        throw new Error('The stream of a subscription is started by a transport.');
      },
    };
  }
}

/** Opens the stream of the changes that a filter selects. It starts at the cursor of {@link resumeCursor}, or now. */
export async function subscribeToChanges(
  context: Context,
  after: string | null | undefined,
  filter: SubscriptionFilter,
): Promise<SubscriptionSource> {
  return new SubscriptionSource(await context.feed.open(filter, resumeCursor(context, after), context.cursor));
}

/** Returns the cursor at which a subscription starts: that of the transport (`Last-Event-ID`) or of its argument; null for now. */
export function resumeCursor(
  { connection }: Pick<Context, 'connection'>,
  after: string | null | undefined,
): string | null {
  return connection?.resumeAfter ?? after ?? null;
}

/** A subscription that is not started yet. It can be closed before and after its start. */
export interface OpenSubscription {
  readonly start: (sink: Sink) => void;
  readonly close: () => void;
}

/**
 * Opens a subscription. Returns a result with errors when that fails.
 *
 * @throws {AppError} `OVERLOADED` or `RATE_LIMITED` when too many subscriptions are open; see {@link PeerLimits}
 */
export async function openSubscription(
  args: OperationArgs,
  peers: PeerLimits,
  report: ReportUnexpectedError,
): Promise<OpenSubscription | ExecutionResult> {
  const errors = variableErrors(args);
  if (errors) {
    return { errors };
  }
  const source = await peers.acquireSubscription(
    args.contextValue.address,
    () => executeAcrossOutages(args.contextValue, () => createSourceEventStream(args)),
    (opened) => (opened instanceof SubscriptionSource ? opened.stream : null),
    (end) => recordEnd(args.contextValue, end.kind === 'error' ? end.error : null),
  );
  if (source instanceof SubscriptionSource) {
    const { stream } = source;
    return { start: (sink) => stream.start(new SubscriptionRenderer(args, report), sink), close: () => stream.close() };
  }
  return maskResult(source as ExecutionResult, args.contextValue, report);
}

/** Returns the first errors of the variables; null without errors. graphql-js reports any number of them, each with the whole value. */
function variableErrors({ schema, document, operationName, variableValues }: OperationArgs) {
  const { variableDefinitions = [] } = getOperationAST(document, operationName) ?? {};
  const values = coerceVariables(schema, variableDefinitions, variableValues ?? {});
  return 'errors' in values ? values.errors : null;
}

/** Adds `Query.cursor`. */
export function defineCursorQuery(builder: Builder): void {
  builder.queryField('cursor', (t) =>
    t.string({
      description:
        'The current position of the change log, for loading data and then following its changes without a gap: select it in the same operation as the data, and pass it to subscriptions as `after`.',
      resolve: (_root, _args, { cursor }) => cursor,
    }),
  );
}
