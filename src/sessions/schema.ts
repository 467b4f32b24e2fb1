import { CredentialsError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { defineCookieSessions } from './cookie-sessions-schema.ts';
import { defineKeys } from './keys-schema.ts';
import { defineLogin } from './login-schema.ts';
import { renewSession } from './refresh.ts';
import { obtainToken, verifyToken } from './sign-in.ts';

/** Defines the mutations that sign in and refresh and verify tokens. */
export function defineSignIn(builder: Builder): void {
  const pair = builder.objectType('TokenPair', {
    description:
      'The tokens of a session. Send `token` with each request, and exchange `refreshToken` for a new pair before `expiresAt`.',
    fields: (t) => ({
      token: t.exposeString('token', {
        description: 'The access token, a JWT (RFC 7519): send it as `Authorization: Bearer <token>`.',
      }),
      expiresAt: t.expose('expiresAt', {
        type: 'DateTime',
        description: 'When the access token expires; 30 minutes after it was issued by default.',
      }),

      refreshToken: t.exposeString('refreshToken', {
        description:
          'The refresh token, which the mutation `refreshToken` exchanges for a new pair: use it once, then that of the new pair. Store it as safely as a password.',
      }),
      refreshExpiresAt: t.expose('refreshExpiresAt', {
        type: 'DateTime',
        description: 'When the refresh token expires; 7 days after it was issued by default.',
      }),
      user: t.expose('user', {
        type: 'User',
        description:
          'The user who signed in. Private fields such as `email` are null unless the request itself was authenticated as this user.',
      }),
    }),
  });
  const verified = builder.objectRef<Awaited<ReturnType<typeof verifyToken>>>('VerifiedToken').implement({
    description: 'An access token that is valid at this moment.',
    fields: (t) => ({
      token: t.exposeString('token', { description: 'The access token of the request.' }),
      expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'When the access token expires.' }),
      user: t.expose('user', { type: 'User', description: 'The user whom the access token authenticates.' }),
    }),
  });
  const login = defineLogin(builder);
  defineCookieSessions(builder, login);
  defineKeys(builder, login);

  // Signing in must work while a client still sends an expired token.
  builder.mutationFields((t) => ({
    obtainToken: t.field({
      type: pair,
      skipTypeScopes: true,
      description:
        'Signs in a program and returns the tokens of a new session; pages in browsers use `signIn`. `CredentialsError` when the username or password is wrong or the account is deactivated, `RATE_LIMITED` after too many failed attempts within five minutes. It ignores the credential of the request.',
      errors: { types: [CredentialsError] },
      args: { input: t.arg({ type: login, required: true, description: 'The username and password of the user.' }) },
      resolve: (_root, { input }, context) => obtainToken(context, input),
    }),
    refreshToken: t.field({
      type: pair,
      skipTypeScopes: true,
      description:
        'Exchanges a refresh token for a new pair of tokens. Within 30 seconds of its first use the same token returns further pairs, for several tabs that refresh at once and for requests that are sent again; later its use ends the session, since the token may have been stolen (RFC 9700). `CredentialsError` when it is not accepted: sign in again. It ignores the credential of the request.',
      errors: { types: [CredentialsError] },
      args: { refreshToken: t.arg.string({ required: true, description: 'The refresh token of the latest pair.' }) },
      resolve: (_root, { refreshToken }, context) => renewSession(context, refreshToken),
    }),
    verifyToken: t.field({
      type: verified,
      skipTypeScopes: true,
      description:
        'Checks whether an access token is valid at this moment, for servers that receive it from a client; `CredentialsError` says why it is not. It ignores the credential of the request.',
      errors: { types: [CredentialsError] },
      args: { token: t.arg.string({ required: true, description: 'The access token to check.' }) },
      resolve: (_root, { token }, context) => verifyToken(context, token),
    }),
  }));
}
