import { CredentialsError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { loadUser } from '../identity/named-users.ts';
import { type ConnectionRenewal, destroyCredential, renewConnection } from './own-credentials.ts';

/** Defines the mutations that end or replace the credential of the request. */
export function defineCredentialOfRequest(builder: Builder): void {
  const renewed = builder.objectRef<ConnectionRenewal>('ConnectionRenewal').implement({
    description: 'A WebSocket connection after its credential was replaced.',
    fields: (t) => ({
      expiresAt: t.expose('expiresAt', {
        type: 'DateTime',
        nullable: true,
        description:
          'When the server closes the connection unless its credential is replaced again; null for an API key, which does not expire.',
      }),
      user: t.field({
        type: 'User',
        nullable: true,
        description: 'The user as whom the connection is authenticated.',
        resolve: ({ userId }, _args, context) => loadUser(context, userId),
      }),
    }),
  });

  builder.mutationFields((t) => ({
    renewConnection: t.field({
      type: renewed,
      authScopes: { signedIn: true },
      description:
        'Replaces the credential of the WebSocket over which it is sent, before the current one expires, so that its subscriptions continue. `CredentialsError` when the new one is not accepted or belongs to another user; `BAD_INPUT` over other transports.',
      errors: { types: [CredentialsError] },
      args: {
        token: t.arg.string({
          required: true,
          description: 'An access token, such as from `refreshToken`, or an API key, of the same user.',
        }),
      },
      resolve: (_root, { token }, context) => renewConnection(context, token),
    }),
    destroyAuthToken: t.boolean({
      authScopes: { signedIn: true },
      description:
        'Signs out: revokes the API key by which the request is authenticated, or ends the session of its access token or cookie with all tokens of that session. Always returns true.',
      resolve: async (_root, _args, context) => {
        await destroyCredential(context);
        return true;
      },
    }),
  }));
}
