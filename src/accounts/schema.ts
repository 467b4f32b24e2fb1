import type { Context } from '../context.ts';
import { CredentialsError, ValidationError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import type { Builder } from '../graphql/builder.ts';
import { IDEMPOTENCY_KEY, repeatableAfter } from '../graphql/idempotency.ts';
import { nodeOptions } from '../graphql/node.ts';
import { defineAudit } from './audit-schema.ts';
import { defineCookieSessions } from './cookie-sessions-schema.ts';
import { defineLogin } from './login-schema.ts';
import { destroyCredential, type RenewedConnection, renewConnection } from './own-credentials.ts';
import { defineOwnCredentials } from './own-credentials-schema.ts';
import { canSeePrivateFields } from './policy.ts';
import { defineProfile } from './profile-schema.ts';
import { defineRecovery } from './recovery-schema.ts';
import {
  changePassword,
  confirmPassword,
  createAccount,
  createAuthToken,
  deactivateUser,
  findUser,
  findUserById,
  obtainToken,
  prepareAccount,
  prepareAuthToken,
  verifyToken,
} from './service.ts';
import { renewSession, type TokenPair } from './sessions.ts';
import { defineStaff } from './staff-schema.ts';
import { limitSignUp } from './write-limits.ts';

/** Adds users and everything about signing in. */
export function defineAccounts(builder: Builder): void {
  defineUsers(builder);
  defineProfile(builder);
  defineSignIn(builder);
  defineOwnCredentials(builder);
  defineRecovery(builder);
  defineStaff(builder);
  defineAudit(builder);
}

function defineUsers(builder: Builder): void {
  const user = builder.prismaObject('User', {
    fields: (t) => ({
      id: t.exposeID('id'),
      username: t.exposeString('username'),
      firstName: t.exposeString('firstName'),
      lastName: t.exposeString('lastName'),
      email: t.string({
        nullable: true,
        description: 'At most 254 characters, empty when not given; null for everybody but the user and staff.',
        resolve: (user, _args, context) => privately(context, user, user.email),
      }),
      isStaff: t.boolean({
        nullable: true,
        description: 'Whether the user sees and changes every row; null for everybody but the user and staff.',
        resolve: (user, _args, context) => privately(context, user, user.isStaff),
      }),
      isActive: t.boolean({
        nullable: true,
        description: 'Whether the account is open; null for everybody but the user and staff.',
        resolve: (user, _args, context) => privately(context, user, user.isActive),
      }),
      createdAt: t.field({
        type: 'DateTime',
        nullable: true,
        description: 'When the account was made, in UTC; null for everybody but the user and staff.',
        resolve: (user, _args, context) => privately(context, user, user.createdAt),
      }),
    }),
  });
  builder.nodeRef(user, nodeOptions(findUserById));

  builder.queryFields((t) => ({
    viewer: t.field({
      type: user,
      nullable: true,
      description: 'The signed-in user; null without credentials.',
      resolve: (_root, _args, context) =>
        context.viewer.kind === 'user' ? findUserById(context, context.viewer.id) : null,
    }),
    user: t.field({
      type: user,
      nullable: true,
      authScopes: { signedIn: true },
      description: 'A user, for signed-in users; null when there is none of that name.',
      args: { username: t.arg.string({ required: true, description: 'The name, in any case of letters.' }) },
      resolve: (_root, { username }, context) => findUser(context, username),
    }),
  }));

  builder.mutationField('deactivateViewer', (t) =>
    t.field({
      type: user,
      authScopes: { signedIn: true },
      description: 'Closes the viewer’s account: no credential works any more. What the user wrote stays.',
      errors: { types: [ValidationError] },
      args: { currentPassword: t.arg.string({ required: true, description: 'To be sure that it is the user.' }) },
      resolve: async (_root, { currentPassword }, context) =>
        deactivateUser(context, await confirmPassword(context, currentPassword)),
    }),
  );
}

function privately<Value>({ viewer }: Context, user: User, value: Value): Value | null {
  return canSeePrivateFields(viewer, user) ? value : null;
}

function defineSignIn(builder: Builder): void {
  const pair = builder.objectRef<TokenPair>('TokenPair').implement({
    description: 'What a sign-in gives.',
    fields: (t) => ({
      token: t.exposeString('token', {
        description: 'The access token, a JWT: send it as `Authorization: Bearer <token>`.',
      }),
      expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'When the access token ends.' }),
      refreshToken: t.exposeString('refreshToken', {
        description:
          'Gives a new pair by `refreshToken`: use it once, and then the one of the new pair. Keep it secret: it is all that renewing needs.',
      }),
      refreshExpiresAt: t.expose('refreshExpiresAt', { type: 'DateTime', description: 'When the refresh token ends.' }),
      user: t.expose('user', { type: 'User', description: 'Who signed in. Private fields need the token itself.' }),
    }),
  });
  const verified = builder.objectRef<Awaited<ReturnType<typeof verifyToken>>>('VerifiedToken').implement({
    description: 'An access token that is good at this moment.',
    fields: (t) => ({
      token: t.exposeString('token', { description: 'The token that was given.' }),
      expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'When it ends.' }),
      user: t.expose('user', { type: 'User', description: 'Whose it is.' }),
    }),
  });
  const key = builder.objectRef<Awaited<ReturnType<typeof createAuthToken>>>('AuthTokenKey').implement({
    description: 'An opaque key for programs.',
    fields: (t) => ({
      authToken: t.exposeString('authToken', {
        description: 'Send it as `Authorization: Token <key>`. It is shown only now.',
      }),
      user: t.expose('user', { type: 'User', description: 'Whose it is.' }),
    }),
  });

  const renewed = builder.objectRef<RenewedConnection>('RenewedConnection').implement({
    description: 'A connection that goes on with another credential.',
    fields: (t) => ({
      expiresAt: t.expose('expiresAt', {
        type: 'DateTime',
        nullable: true,
        description: 'When it is closed unless it is renewed again; null for a key, which does not run out.',
      }),
      user: t.field({
        type: 'User',
        nullable: true,
        description: 'Whose it is.',
        resolve: ({ userId }, _args, context) => findUserById(context, userId),
      }),
    }),
  });

  const login = defineLogin(builder);
  defineCookieSessions(builder, login);
  const newAccount = builder.inputType('SignUpInput', {
    description: 'An account to be made.',
    fields: (t) => ({
      username: t.string({
        required: true,
        description: 'At most 150 letters of one script, digits and `@.+-_`; unique in any case of letters.',
      }),
      password: t.string({
        required: true,
        description: '8 to 128 characters; not a common one, nor like the username.',
      }),
      email: t.string({ description: 'At most 254 characters.' }),
      firstName: t.string({ description: 'At most 150 characters.' }),
      lastName: t.string({ description: 'At most 150 characters.' }),
    }),
  });
  const newPassword = builder.inputType('ChangePasswordInput', {
    description: 'The present password and the next one.',
    fields: (t) => ({
      currentPassword: t.string({ required: true, description: 'To be sure that it is the user.' }),
      newPassword: t.string({
        required: true,
        description: '8 to 128 characters; not a common one, nor like the username.',
      }),
    }),
  });

  // Signing in must work while a client still sends a token that has run out.
  builder.mutationFields((t) => ({
    signUp: t.field({
      type: 'User',
      skipTypeScopes: true,
      description: 'Makes an account. It ignores the credential of the request.',
      errors: { types: [ValidationError] },
      args: {
        input: t.arg({ type: newAccount, required: true, description: 'The account.' }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: repeatableAfter(
        'signUp',
        async (context, { input }) => {
          await limitSignUp(context);
          return prepareAccount(input);
        },
        (context, _args, account) => createAccount(context, account),
      ),
    }),
    obtainToken: t.field({
      type: pair,
      skipTypeScopes: true,
      description: 'Signs in. It ignores the credential of the request.',
      errors: { types: [CredentialsError] },
      args: { input: t.arg({ type: login, required: true, description: 'Who signs in.' }) },
      resolve: (_root, { input }, context) => obtainToken(context, input),
    }),
    refreshToken: t.field({
      type: pair,
      skipTypeScopes: true,
      description:
        'Gives a new pair for a refresh token. The same one gives further pairs for 30 seconds, so that several tabs can refresh at once; presented later, it ends its whole sign-in. It ignores the credential of the request.',
      errors: { types: [CredentialsError] },
      args: { refreshToken: t.arg.string({ required: true, description: 'The refresh token of the last pair.' }) },
      resolve: (_root, { refreshToken }, context) => renewSession(context, refreshToken),
    }),
    verifyToken: t.field({
      type: verified,
      skipTypeScopes: true,
      description: 'Whether an access token is good at this moment. It ignores the credential of the request.',
      errors: { types: [CredentialsError] },
      args: { token: t.arg.string({ required: true, description: 'The access token.' }) },
      resolve: (_root, { token }, context) => verifyToken(context, token),
    }),
    createAuthToken: t.field({
      type: key,
      skipTypeScopes: true,
      description: 'Makes an opaque key that lives until it is destroyed. It ignores the credential of the request.',
      errors: { types: [CredentialsError, ValidationError] },
      args: {
        input: t.arg({ type: login, required: true, description: 'Whose key it will be.' }),
        name: t.arg.string({ description: 'What the user calls it, to recognise it later: 1 to 100 characters.' }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: repeatableAfter(
        'createAuthToken',
        (context, { input, name }) => prepareAuthToken(context, input, name ?? null),
        (context, _args, prepared) => createAuthToken(context, prepared),
      ),
    }),
    renewConnection: t.field({
      type: renewed,
      authScopes: { signedIn: true },
      description:
        'Over a WebSocket: goes on with another access token or key of the same user, before the present one ends. Its subscriptions live on.',
      errors: { types: [CredentialsError] },
      args: {
        token: t.arg.string({ required: true, description: 'The access token, as of `refreshToken`, or the key.' }),
      },
      resolve: (_root, { token }, context) => renewConnection(context, token),
    }),
    destroyAuthToken: t.boolean({
      authScopes: { signedIn: true },
      description:
        'Signs out: ends the key that the request came with, or the sign-in of its access token or cookie. Always true.',
      resolve: async (_root, _args, context) => {
        await destroyCredential(context);
        return true;
      },
    }),
    changePassword: t.field({
      type: pair,
      authScopes: { signedIn: true },
      description:
        'Sets a new password, ends every token, key and cookie of the user, and signs in anew; a request with a cookie gets a new cookie as well, and need not select the tokens.',
      errors: { types: [ValidationError] },
      args: { input: t.arg({ type: newPassword, required: true, description: 'The passwords.' }) },
      resolve: (_root, { input }, context) => changePassword(context, input),
    }),
  }));
}
