import { NotFoundError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { encodeNodeId, toDatabaseId } from '../graphql/node-ids.ts';
import { connectionComplexity, toConnection } from '../graphql/relay-connection.ts';
import { isViewer } from '../viewer.ts';
import {
  endAuthToken,
  endOtherSessions,
  endSession,
  expiryOf,
  isCurrentKey,
  isCurrentSession,
  listAuthTokens,
  listSessions,
} from './own-credentials.ts';

/** Defines the lists of the viewer's sessions and API keys, and the mutations that end them. */
export function defineOwnCredentials(builder: Builder): void {
  const session = builder.prismaObject('Session', {
    fields: (t) => ({
      id: t.id({
        description: 'The opaque, globally unique id of the session, for `endSession`.',
        resolve: ({ id }) => encodeNodeId('Session', id),
      }),
      createdAt: t.expose('createdAt', { type: 'DateTime' }),
      lastUsedAt: t.expose('lastUsedAt', { type: 'DateTime' }),
      userAgent: t.exposeString('userAgent', { nullable: true }),
      address: t.exposeString('address', { nullable: true }),
      expiresAt: t.field({
        type: 'DateTime',
        description:
          'When the session ends unless it is used again: the expiry of its latest refresh token or of its cookie. Each refresh, or use of the cookie, postpones it, at most until 90 days after the sign-in by default.',
        resolve: (session, _args, context) => expiryOf(context, session),
      }),
      isCurrent: t.boolean({
        description:
          'Whether the request was authenticated by this session: by its cookie or one of its access tokens.',
        resolve: (session, _args, context) => isCurrentSession(context, session),
      }),
    }),
  });
  const key = builder.prismaObject('AuthToken', {
    description:
      'An API key, which a program sends as `Authorization: Token <key>`. The key itself is shown only by `createAuthToken`.',
    fields: (t) => ({
      id: t.id({
        description: 'The opaque, globally unique id of the API key, for `endAuthToken`.',
        resolve: ({ id }) => encodeNodeId('AuthToken', id),
      }),
      name: t.exposeString('name', { nullable: true }),
      createdAt: t.expose('createdAt', { type: 'DateTime' }),
      isCurrent: t.boolean({
        description: 'Whether the request was authenticated by this API key.',
        resolve: (key, _args, context) => isCurrentKey(context, key),
      }),
    }),
  });

  builder.objectFields('User', (t) => ({
    sessions: t.connection(
      {
        type: session,
        nullable: true,
        description:
          'The active sessions of the user, newest first, page by page: where the user is signed in. Null for other viewers than the user.',
        complexity: connectionComplexity,
        resolve: ({ id }, page, context) =>
          isViewer(context.viewer, id) ? toConnection(listSessions(context, page)) : null,
      },
      { name: 'SessionConnection', description: 'A page of the sessions of a user.' },
      { name: 'SessionEdge', description: 'A session of a page, with its cursor.' },
    ),
    authTokens: t.connection(
      {
        type: key,
        nullable: true,
        description: 'The API keys of the user, newest first, page by page. Null for other viewers than the user.',
        complexity: connectionComplexity,
        resolve: ({ id }, page, context) =>
          isViewer(context.viewer, id) ? toConnection(listAuthTokens(context, page)) : null,
      },
      { name: 'AuthTokenConnection', description: 'A page of the API keys of a user.' },
      { name: 'AuthTokenEdge', description: 'An API key of a page, with its cursor.' },
    ),
  }));

  builder.mutationFields((t) => ({
    endSession: t.field({
      type: session,
      authScopes: { signedIn: true },
      description:
        'Signs the viewer out of one session, which may be the current one: revokes its tokens, closes its sockets, and returns the session as it was.',
      errors: { types: [NotFoundError] },
      args: { id: t.arg.id({ required: true, description: 'The `id` of the session.' }) },
      resolve: (_root, { id }, context) => endSession(context, toDatabaseId('Session', id)),
    }),
    endOtherSessions: t.int({
      authScopes: { signedIn: true },
      description:
        'Signs the viewer out everywhere else: ends all sessions but that of the request, or all when the request is authenticated by an API key. API keys stay valid. Returns the number of sessions that it ended.',
      resolve: (_root, _args, context) => endOtherSessions(context),
    }),
    endAuthToken: t.field({
      type: key,
      authScopes: { signedIn: true },
      description:
        'Revokes an API key of the viewer, which may be that of the request, and returns it as it was. Its sockets are closed.',
      errors: { types: [NotFoundError] },
      args: { id: t.arg.id({ required: true, description: 'The `id` of the API key.' }) },
      resolve: (_root, { id }, context) => endAuthToken(context, toDatabaseId('AuthToken', id)),
    }),
  }));
}
