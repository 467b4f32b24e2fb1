import { NotFoundError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { pageCost, toConnection } from '../graphql/connection.ts';
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

/** Adds what users see of their own sessions and keys, and the mutations that end them. */
export function defineOwnCredentials(builder: Builder): void {
  const session = builder.prismaObject('Session', {
    fields: (t) => ({
      id: t.exposeID('id', { description: 'For `endSession`.' }),
      createdAt: t.expose('createdAt', { type: 'DateTime' }),
      lastUsedAt: t.expose('lastUsedAt', { type: 'DateTime' }),
      userAgent: t.exposeString('userAgent', { nullable: true }),
      address: t.exposeString('address', { nullable: true }),
      expiresAt: t.field({
        type: 'DateTime',
        description:
          'When its last refresh token ends, or its cookie, in UTC. Refreshing it or using the cookie moves it, up to the longest time that a session may last.',
        resolve: (session, _args, context) => expiryOf(context, session),
      }),
      isCurrent: t.boolean({
        description: 'Whether the request came with the cookie or an access token of this session.',
        resolve: (session, _args, context) => isCurrentSession(context, session),
      }),
    }),
  });
  const key = builder.prismaObject('AuthToken', {
    description: 'An opaque key for programs, without the key itself.',
    fields: (t) => ({
      id: t.exposeID('id', { description: 'For `endAuthToken`.' }),
      name: t.exposeString('name', { nullable: true }),
      createdAt: t.expose('createdAt', { type: 'DateTime' }),
      isCurrent: t.boolean({
        description: 'Whether the request came with this key.',
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
          'The sign-ins of the user whose tokens are accepted, the newest first; null for everybody but the user.',
        complexity: pageCost,
        resolve: ({ id }, page, context) =>
          isViewer(context.viewer, id) ? toConnection(listSessions(context, page)) : null,
      },
      { name: 'SessionConnection', description: 'A page of sessions.' },
      { name: 'SessionEdge', description: 'A session at its place in a list.' },
    ),
    authTokens: t.connection(
      {
        type: key,
        nullable: true,
        description: 'The keys of the user, the newest first; null for everybody but the user.',
        complexity: pageCost,
        resolve: ({ id }, page, context) =>
          isViewer(context.viewer, id) ? toConnection(listAuthTokens(context, page)) : null,
      },
      { name: 'AuthTokenConnection', description: 'A page of keys.' },
      { name: 'AuthTokenEdge', description: 'A key at its place in a list.' },
    ),
  }));

  builder.mutationFields((t) => ({
    endSession: t.field({
      type: session,
      authScopes: { signedIn: true },
      description:
        'Ends a session of the viewer with all its tokens and sockets, and gives what it was. It may be the current one.',
      errors: { types: [NotFoundError] },
      args: { id: t.arg.id({ required: true, description: 'Which one.' }) },
      resolve: (_root, { id }, context) => endSession(context, id),
    }),
    endOtherSessions: t.int({
      authScopes: { signedIn: true },
      description:
        'Ends all sessions of the viewer but the current one; all of them, when the request comes with a key. Keys stay. Gives how many were ended.',
      resolve: (_root, _args, context) => endOtherSessions(context),
    }),
    endAuthToken: t.field({
      type: key,
      authScopes: { signedIn: true },
      description: 'Ends a key of the viewer, and gives what it was. It may be the one of the request.',
      errors: { types: [NotFoundError] },
      args: { id: t.arg.id({ required: true, description: 'Which one.' }) },
      resolve: (_root, { id }, context) => endAuthToken(context, id),
    }),
  }));
}
