import SchemaBuilder from '@pothos/core';
import ComplexityPlugin from '@pothos/plugin-complexity';
import ErrorsPlugin from '@pothos/plugin-errors';
import PrismaPlugin from '@pothos/plugin-prisma';
import RelayPlugin from '@pothos/plugin-relay';
import ScopeAuthPlugin from '@pothos/plugin-scope-auth';
import type { Context } from '../context.ts';
import { AppError, UnauthenticatedError } from '../errors.ts';
import type { ChatMessage, ChatSession, Note, Post, Todo, TodoList, User } from '../generated/client/client.ts';
import type PrismaTypes from '../generated/pothos.ts';
import { getDatamodel } from '../generated/pothos.ts';
import { decodeNodeId, encodeNodeId } from './node-ids.ts';

/** The types that slices name by string, so that none has to import another. */
export interface SchemaTypes {
  Context: Context;
  PrismaTypes: PrismaTypes;
  DefaultFieldNullability: false;
  DefaultEdgesNullability: false;
  DefaultNodeNullability: false;
  Objects: {
    User: User;
    TodoList: TodoList;
    Todo: Todo;
    Post: Post;
    ChatSession: ChatSession;
    ChatMessage: ChatMessage;
    Note: Note;
  };
  Scalars: {
    ID: { Input: string; Output: string | number };
    DateTime: { Input: Date; Output: Date };
  };
  AuthScopes: { signedIn: boolean; acceptedCredential: boolean };
  Connection: { totalCount: () => Promise<number> };
}

export interface SchemaOptions {
  /** The most that one operation may cost: a field costs 1, whatever hangs on a list as often as the list may be long. */
  readonly complexityLimit: number;
}

const SCALAR_LIST_LENGTH = 10;

/** How long a page may be is counted where the page is asked for, not once more where its objects are. */
const PAGE_FIELD_COST = { field: 1, multiplier: 1 };

/** Makes the builder that every slice extends. Outputs are non-null unless they say otherwise. */
export function createBuilder({ complexityLimit }: SchemaOptions) {
  const builder = new SchemaBuilder<SchemaTypes>({
    // The order matters: errors catches what the resolvers throw, never what authorisation throws.
    plugins: [ErrorsPlugin, ComplexityPlugin, RelayPlugin, ScopeAuthPlugin, PrismaPlugin],
    defaultFieldNullability: false,
    complexity: {
      limit: { complexity: complexityLimit },
      defaultListMultiplier: SCALAR_LIST_LENGTH,
      complexityError: (_kind, { complexity }) =>
        new AppError('COMPLEXITY', `The query costs ${complexity}, more than the ${complexityLimit} that are allowed.`),
    },
    errors: {
      directResult: true,
      defaultUnionOptions: {
        name: ({ fieldName }) => `${capitalise(fieldName)}Result`,
        description: 'What came of it: the object, or the error that says why there is none.',
      },
    },
    prisma: {
      client: (context) => context.database,
      dmmf: getDatamodel(),
      exposeDescriptions: true,
    },
    relay: {
      idFieldName: 'nodeId',
      idFieldOptions: { description: 'The id of this object among all objects, for `node(nodeId:)`.' },
      encodeGlobalID: (typename, id) => encodeNodeId(typename, id),
      decodeGlobalID: decodeNodeId,
      cursorType: 'String',
      nodesOnConnection: {
        description: 'The objects of this page, without their cursors.',
        complexity: PAGE_FIELD_COST,
      },
      nodeQueryOptions: false,
      nodesQueryOptions: false,
      nodeTypeOptions: { description: 'Something that can be fetched again by its `nodeId`.' },
      pageInfoTypeOptions: {
        description: 'Where a page lies in its list, as the Relay cursor connections specification has it.',
      },
      hasNextPageFieldOptions: { description: 'Whether more follows: pass `endCursor` as `after` to read it.' },
      hasPreviousPageFieldOptions: {
        description: 'Whether something precedes: pass `startCursor` as `before` to read it.',
      },
      startCursorFieldOptions: { description: 'The cursor of the first edge; null when the page is empty.' },
      endCursorFieldOptions: { description: 'The cursor of the last edge; null when the page is empty.' },
      edgesFieldOptions: {
        description: 'The objects of this page with their cursors.',
        nullable: false,
        complexity: PAGE_FIELD_COST,
      },
      nodeFieldOptions: { description: 'The object.', nullable: false },
      cursorFieldOptions: {
        description: 'Stands for this place in the list, and holds when rows before it come or go.',
      },
      pageInfoFieldOptions: { description: 'Where this page lies in the list.' },
      firstArgOptions: {
        description:
          'How many from the start, or after `after`: 0 to 100; 20 when neither `first` nor `last` is given.',
      },
      lastArgOptions: {
        description: 'How many from the end, or before `before`: 0 to 100. Not together with `first`.',
      },
      afterArgOptions: { description: 'Only what comes after this cursor.' },
      beforeArgOptions: { description: 'Only what comes before this cursor.' },
    },
    scopeAuth: {
      authorizeOnSubscribe: true,
      unauthorizedError: (_parent, context) => context.refusal ?? new UnauthenticatedError(),
      authScopes: ({ viewer, refusal }) => ({
        signedIn: viewer.kind === 'user',
        acceptedCredential: refusal === null,
      }),
    },
  });

  // A refused credential never counts as none: the caller would see, and make, what everybody sees.
  builder.queryType({
    description: 'Everything that can be read.',
    authScopes: { acceptedCredential: true },
  });
  builder.mutationType({
    description: 'Everything that can be changed.',
    authScopes: { acceptedCredential: true },
  });
  builder.subscriptionType({
    description: 'Committed changes as they happen, and signs that pass.',
    authScopes: { acceptedCredential: true },
  });
  builder.globalConnectionField('totalCount', (t) =>
    t.int({
      description: 'How many objects the whole list has under its filter; counted only when asked for.',
      resolve: ({ totalCount }) => totalCount(),
    }),
  );
  return builder;
}

export type Builder = ReturnType<typeof createBuilder>;

function capitalise(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
