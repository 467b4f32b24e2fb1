import { z } from 'zod';
import { CredentialsError } from '../errors.ts';
import { limitSignUp } from '../identity/write-limits.ts';
import { textField } from '../rest/fields.ts';
import { operation, type Resource } from '../rest/resource.ts';
import { createAuthToken } from '../sessions/keys.ts';
import { destroyCredential } from '../sessions/own-credentials.ts';
import { LOGIN_FIELDS, TOO_MANY } from '../sessions/rest.ts';
import { signIn } from '../sessions/sign-in.ts';
import { newAccount } from './fields.ts';
import { ACCOUNTS, EMAIL_FIELD, REJECTED, SIGNED_IN } from './shared-rest.ts';
import { createAccount, prepareAccount } from './sign-up.ts';

const { password } = LOGIN_FIELDS;
const account = z.object({
  username: textField(newAccount.shape.username),
  password,
  email: EMAIL_FIELD.optional(),
});

/** The documented paths that create accounts, and create and end API keys. */
export const CREDENTIAL_RESOURCES: readonly Resource[] = [
  {
    ...ACCOUNTS,
    path: '/auth/users/create',
    access: 'open',
    name: 'Registration',
    description: 'Creates accounts.',
    methods: {
      POST: operation({
        summary: 'Creates an account',
        body: account,
        answers: { 201: 'The account.', ...REJECTED, 429: 'Too many new accounts from one address.' },
        prepare: async ({ context, body }) => {
          await limitSignUp(context);
          return prepareAccount(body);
        },
        handle: async ({ context, prepared }) => {
          const { email, username, id } = await createAccount(context, prepared);
          return { status: 201, body: { email, username, id } };
        },
      }),
    },
  },
  {
    ...ACCOUNTS,
    path: '/auth/token/create',
    access: 'open',
    name: 'Token Create',
    description: 'Returns an API key for a username and password.',
    methods: {
      POST: operation({
        summary: 'Creates an API key',
        body: z.object({ username: LOGIN_FIELDS.username.optional(), password: password.optional() }),
        answers: { 200: 'A key of 40 hexadecimal digits.', 400: 'The username or password is wrong.', ...TOO_MANY },
        prepare: ({ context, body: { username = '', password = '' } }) =>
          signIn(context, { username, password }).catch((error: unknown) => {
            throw error instanceof CredentialsError
              ? new CredentialsError('Unable to login with provided credentials.')
              : error;
          }),
        handle: async ({ context, prepared }) => {
          const { authToken } = await createAuthToken(context, { user: prepared, name: null });
          return { status: 200, body: { auth_token: authToken } };
        },
      }),
    },
  },
  {
    ...ACCOUNTS,
    path: '/auth/token/destroy',
    access: 'signedIn',
    name: 'Token Destroy',
    description: 'Ends the credential of the request.',
    methods: {
      POST: {
        summary: 'Signs out',
        answers: { 204: 'The credential is ended.', ...SIGNED_IN },
        handle: async ({ context }) => {
          await destroyCredential(context);
          return { status: 204 };
        },
      },
    },
  },
];
