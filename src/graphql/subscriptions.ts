import { createSourceEventStream, type ExecutionResult, getOperationAST } from 'graphql';
import type { RowImage } from '../changes/change.ts';
import type { EventStream, Sink } from '../changes/delivery.ts';
import type { ChangeEvent, SubscriptionFilter } from '../changes/filter.ts';
import type { Context } from '../context.ts';
import type { PeerLimits } from '../sockets/peer-limits.ts';
import type { Builder, SchemaTypes } from './builder.ts';
import type { ReportDefect } from './mask.ts';
import {
  acrossOutagesOf,
  presentResult,
  type SubscriptionArgs,
  SubscriptionRenderer,
} from './subscription-renderer.ts';
import { coerceVariables } from './variables.ts';

/** What all change subscriptions of one schema share. */
function defineAction(builder: Builder) {
  return builder.enumType('ChangeAction', {
    description: 'What happened to an object, relative to what the subscriber may see and asked for.',
    values: {
      CREATED: {
        value: 'CREATED',
        description: 'It is there now: it was made, or has come into what the subscriber asked for.',
      },
      UPDATED: { value: 'UPDATED', description: 'It was written, and is still there.' },
      DELETED: {
        value: 'DELETED',
        description: 'It is gone: deleted, or out of what the subscriber asked for or may see.',
      },
    } as const,
  });
}

const actions = new WeakMap<Builder, ReturnType<typeof defineAction>>();

type ModelName = keyof SchemaTypes['Objects'];

/**
 * Adds the type of the events of a model: `{ action cursor id <field> }`. `load` reads an object whose event does not carry it; models whose
 * events always do leave it out.
 */
export function defineChange<Model extends ModelName>(
  builder: Builder,
  model: Model,
  field: string,
  load: (context: Context, id: number) => Promise<object | null> = async () => null,
) {
  const action = actions.get(builder) ?? defineAction(builder);
  actions.set(builder, action);
  return builder.objectRef<ChangeEvent>(`${model}Change`).implement({
    description: `One committed change of a ${model}.`,
    fields: (t) => ({
      action: t.expose('action', { type: action, description: 'What happened.' }),
      cursor: t.exposeString('cursor', {
        description:
          'The position of the change in the log: pass it as `after` to go on from here. A cursor seen before marks a duplicate.',
      }),
      id: t.exposeID('id', { description: 'The id of the object.' }),
      [field]: t.field({
        type: model,
        nullable: true,
        description: 'The object as the change left it; null when it is DELETED.',
        // An image in the log has the columns of its model's row.
        resolve: ({ row, id }, _args, context) =>
          (row === 'current' ? load(context, id) : row) as (RowImage & SchemaTypes['Objects'][Model]) | null as never,
      }),
    }),
  });
}

export const AFTER = {
  description: 'Only the changes after this cursor, of `Query.cursor` or an event; without it, only those to come.',
} as const;

/**
 * What the subscribe function of a field returns. graphql-js asks for an async iterable; the transports take the stream out of it and start it
 * themselves, so that its results are shared and its reader is not overrun.
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

/** The changes that a filter selects, for the subscriber of an operation; an event stream that was interrupted goes on where it was. */
export async function follow(
  context: Context,
  after: string | null | undefined,
  filter: SubscriptionFilter,
): Promise<SubscriptionSource> {
  return new SubscriptionSource(await context.feed.open(filter, resumeAfter(context, after), context.cursor));
}

/** Where a subscription starts: at the cursor of the transport, or that of its argument. */
export function resumeAfter(
  { connection }: Pick<Context, 'connection'>,
  after: string | null | undefined,
): string | null {
  return connection?.resumeAfter ?? after ?? null;
}

/** A subscription that can be started, and ended before and after that. */
export interface OpenSubscription {
  readonly start: (sink: Sink) => void;
  readonly close: () => void;
}

/**
 * Opens a subscription; returns the result that says why that is not possible where it is not.
 *
 * @throws {AppError} `OVERLOADED` or `RATE_LIMITED` when there are too many; see {@link PeerLimits}
 */
export async function openSubscription(
  args: SubscriptionArgs,
  peers: PeerLimits,
  report: ReportDefect,
): Promise<OpenSubscription | ExecutionResult> {
  const refused = refusedVariables(args);
  if (refused) {
    return { errors: refused };
  }
  const source = await peers.subscribe(
    args.contextValue.address,
    () => acrossOutagesOf(args.contextValue, () => createSourceEventStream(args)),
    (opened) => (opened instanceof SubscriptionSource ? opened.stream : null),
  );
  if (source instanceof SubscriptionSource) {
    const { stream } = source;
    return { start: (sink) => stream.start(new SubscriptionRenderer(args, report), sink), close: () => stream.close() };
  }
  return presentResult(source as ExecutionResult, args.contextValue, report);
}

/** The errors of the variables; null when there is none. graphql-js, which coerces them again, would find any number, and repeat the values in each. */
function refusedVariables({ schema, document, operationName, variableValues }: SubscriptionArgs) {
  const { variableDefinitions = [] } = getOperationAST(document, operationName) ?? {};
  const values = coerceVariables(schema, variableDefinitions, variableValues ?? {});
  return 'errors' in values ? values.errors : null;
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
