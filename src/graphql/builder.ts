import SchemaBuilder from '@pothos/core';
import ComplexityPlugin from '@pothos/plugin-complexity';
import ErrorsPlugin from '@pothos/plugin-errors';
import PrismaPlugin from '@pothos/plugin-prisma';
import RelayPlugin from '@pothos/plugin-relay';
import ScopeAuthPlugin from '@pothos/plugin-scope-auth';
import type { Context } from '../context.ts';
import { AppError, UnauthenticatedError } from '../errors.ts';
import type PrismaTypes from '../generated/pothos.ts';
import { getDatamodel } from '../generated/pothos.ts';
import type { TokenPair } from '../identity/tokens.ts';
import { decodeNodeId, encodeNodeId } from './node-ids.ts';

/** The types of the schema builder. Slices refer to the types of other slices by name, without an import. */
export interface SchemaTypes {
  Context: Context;
  PrismaTypes: PrismaTypes;
  DefaultFieldNullability: false;
  DefaultEdgesNullability: false;
  DefaultNodeNullability: false;
  Objects: { [Model in keyof PrismaTypes]: PrismaTypes[Model]['Shape'] } & { TokenPair: TokenPair };
  Scalars: {
    ID: { Input: string; Output: string | number };
    DateTime: { Input: Date; Output: Date };
  };
  AuthScopes: { signedIn: boolean; acceptedCredential: boolean };
  Connection: { totalCount: () => Promise<number> };
}

export interface SchemaOptions {
  /** The maximum complexity of an operation: a field costs 1, and the fields below a list cost as much as the longest list. */
  readonly complexityLimit: number;
}

const SCALAR_LIST_LENGTH = 10;

/** The cost of `edges` and `nodes`: the connection field is already multiplied by the length of the page. */
const PAGE_FIELD_COST = { field: 1, multiplier: 1 };

/** Creates the builder that every slice extends. Output fields are non-null by default. */
export function createBuilder({ complexityLimit }: SchemaOptions) {
  const builder = new SchemaBuilder<SchemaTypes>({
    // In this order, the errors plugin catches the errors of resolvers, but not those of authorization.
    plugins: [ErrorsPlugin, ComplexityPlugin, RelayPlugin, ScopeAuthPlugin, PrismaPlugin],
    defaultFieldNullability: false,
    complexity: {
      limit: { complexity: complexityLimit },
      defaultListMultiplier: SCALAR_LIST_LENGTH,
      complexityError: (_kind, { complexity }) =>
        new AppError(
          'COMPLEXITY',
          `The query has a complexity of ${complexity}; at most ${complexityLimit} is allowed.`,
        ),
    },
    errors: {
      directResult: true,
      defaultUnionOptions: {
        name: ({ fieldName }) => `${capitalize(fieldName)}Result`,
        description:
          'The result of the mutation of the same name: the object on success, otherwise the error that says why the mutation was not carried out. Select both by inline fragments: `... on Todo { id } ... on Error { message }`.',
      },
    },
    prisma: {
      client: (context) => context.database,
      dmmf: getDatamodel(),
      exposeDescriptions: true,
    },
    relay: {
      idFieldName: 'id',
      idFieldOptions: {
        description:
          'The opaque, globally unique id of the object (Relay global object identification): pass it to `Query.node` and to arguments, and use it as the key of client caches.',
      },
      encodeGlobalID: (typename, id) => encodeNodeId(typename, id),
      decodeGlobalID: decodeNodeId,
      cursorType: 'String',
      nodesOnConnection: {
        description:
          'The objects of this page, in the order of the list. A shorter way than `edges` for clients that need no cursor of each object.',
        complexity: PAGE_FIELD_COST,
      },
      nodeQueryOptions: false,
      nodesQueryOptions: false,
      nodeTypeOptions: {
        description:
          'An object with a globally unique id, by which `Query.node` fetches it again (Relay global object identification).',
      },
      pageInfoTypeOptions: {
        description:
          'Whether a list has more pages, and the cursors to request them with (Relay cursor connections specification).',
      },
      hasNextPageFieldOptions: {
        description:
          'Whether the list has objects after this page: pass `endCursor` as `after` to read them. With `last`, true whenever `before` is given.',
      },
      hasPreviousPageFieldOptions: {
        description:
          'Whether the list has objects before this page: pass `startCursor` as `before`, with `last`, to read them. With `first`, true whenever `after` is given.',
      },
      startCursorFieldOptions: {
        description: 'The cursor of the first object of the page; null when the page is empty.',
      },
      endCursorFieldOptions: { description: 'The cursor of the last object of the page; null when the page is empty.' },
      edgesFieldOptions: {
        description: 'The objects of this page with their cursors, in the order of the list.',
        nullable: false,
        complexity: PAGE_FIELD_COST,
      },
      nodeFieldOptions: { description: 'The object at this position of the list.', nullable: false },
      cursorFieldOptions: {
        description:
          'The opaque position of the object in the list, for `after` and `before`. It is valid for the same `orderBy.field` only, and stays valid when objects are created or deleted, this one included.',
      },
      pageInfoFieldOptions: { description: 'Whether there are more pages, and the cursors to request them with.' },
      firstArgOptions: {
        description:
          'The number of objects to return from the start of the list, or after `after`: 0 to 100. 20 when neither `first` nor `last` is given; `VALIDATION` when both are.',
      },
      lastArgOptions: {
        description:
          'The number of objects to return from the end of the list, or before `before`: 0 to 100. Use it to page backwards, without `first`.',
      },
      afterArgOptions: {
        description:
          'Returns the objects after this cursor, such as `pageInfo.endCursor` of the previous page. `BAD_CURSOR` when it is malformed or of a list with another order.',
      },
      beforeArgOptions: {
        description:
          'Returns the objects before this cursor, such as `pageInfo.startCursor` of the next page. `BAD_CURSOR` when it is malformed or of a list with another order.',
      },
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

  // A request with a refused credential must not run as anonymous: it would read, and write, objects without an owner.
  builder.queryType({
    description:
      'All reads. Without a credential a request reads only todos, todo lists and notes that have no owner; other fields fail with `UNAUTHENTICATED` or are null. With a credential that is not accepted, every field fails with `UNAUTHENTICATED`. `COMPLEXITY` when an operation exceeds a limit of the server.',
    authScopes: { acceptedCredential: true },
  });
  builder.mutationType({
    description:
      'All writes. Expected errors are members of the result type of a mutation and implement `Error`. All others are top-level errors with a code in `extensions.code`: `UNAUTHENTICATED` without an accepted credential, `FORBIDDEN`, `RATE_LIMITED` with the seconds to wait in `extensions.retryAfter`, and so on. Mutations of one operation run one after the other; when one fails, the earlier ones stay done.',
    authScopes: { acceptedCredential: true },
  });
  builder.subscriptionType({
    description:
      'Events as they happen, over a WebSocket (`graphql-transport-ws`) or as server-sent events. The fields that end in `Changed` deliver every committed change that the viewer may see, at least once and in the order of the log, and resume by `after`. They end with the error `RESYNC_REQUIRED` when changes are no longer in the log, when the viewer becomes staff or no longer is, and when the client reads too slowly: load the data again and subscribe `after` its cursor. `RATE_LIMITED` and `OVERLOADED` when too many subscriptions are open.',
    authScopes: { acceptedCredential: true },
  });
  builder.globalConnectionField('totalCount', (t) =>
    t.int({
      description:
        'The number of objects on all pages that match the filter. It takes a query of its own when it is selected, of which an operation may make a limited number (16 by default, `COMPLEXITY` beyond).',
      resolve: ({ totalCount }) => totalCount(),
    }),
  );
  return builder;
}

export type Builder = ReturnType<typeof createBuilder>;

function capitalize(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
