import { z } from 'zod';
import { CredentialsError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { DJANGO } from '../rest/dialect.ts';
import { textField } from '../rest/fields.ts';
import { type Operation, operation, type Resource } from '../rest/resource.ts';
import { LOGIN_FIELDS, TOO_MANY } from './jwt-rest.ts';
import { destroyCredential } from './own-credentials.ts';
import { updateViewer } from './profile.ts';
import {
  confirmPassword,
  createAccount,
  createAuthToken,
  deactivateUser,
  newAccount,
  prepareAccount,
  preparePassword,
  setPassword,
  setUsername,
  signIn,
  viewerRow,
} from './service.ts';
import { limitSignUp } from './write-limits.ts';

const { username, email } = newAccount.shape;
const { password } = LOGIN_FIELDS;
const account = z.object({ username: textField(username), password, email: textField(email.unwrap()).optional() });
const profile = z.object({ email: textField(email.unwrap()).optional() });
const confirmation = z.object({ current_password: password });

const shared = { tag: 'Accounts', dialect: DJANGO, challenge: 'Token' } as const;
const SIGNED_IN = { 401: 'No credential, or one that is refused.' };
const REFUSED = { 400: 'Fields that are refused.' };

function ownBody({ email, id, username }: User) {
  return { email, id, username };
}

const profileChange = operation({
  summary: 'Changes the email address',
  body: profile,
  answers: { 200: 'The account.', ...REFUSED, ...SIGNED_IN },
  handle: async ({ context, body }) => ({ status: 200, body: ownBody(await updateViewer(context, body)) }),
});

const own: Operation = {
  summary: 'Tells who the caller is',
  answers: { 200: 'The account.', ...SIGNED_IN },
  handle: async ({ context }) => ({ status: 200, body: ownBody(await viewerRow(context)) }),
};

/** What djoser served, and the account path of the posts app. */
export const USER_RESOURCES: readonly Resource[] = [
  {
    ...shared,
    path: '/auth/users/create',
    access: 'open',
    name: 'Registration',
    description: 'Makes accounts.',
    methods: {
      POST: operation({
        summary: 'Makes an account',
        body: account,
        answers: { 201: 'The account.', ...REFUSED, 429: 'Too many new accounts from one address.' },
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
    ...shared,
    path: '/auth/token/create',
    access: 'open',
    name: 'Token Create',
    description: 'Gives opaque keys for a username and password.',
    methods: {
      POST: operation({
        summary: 'Makes a key',
        body: z.object({ username: LOGIN_FIELDS.username.optional(), password: password.optional() }),
        answers: { 200: 'A key of 40 hexadecimal digits.', 400: 'Nobody can sign in with that.', ...TOO_MANY },
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
    ...shared,
    path: '/auth/token/destroy',
    access: 'signedIn',
    name: 'Token Destroy',
    description: 'Ends the credential of the request.',
    methods: {
      POST: {
        summary: 'Signs out',
        answers: { 204: 'The credential is dead.', ...SIGNED_IN },
        handle: async ({ context }) => {
          await destroyCredential(context);
          return { status: 204 };
        },
      },
    },
  },
  {
    ...shared,
    path: '/auth/me',
    access: 'signedIn',
    name: 'User',
    description: 'The account of the caller.',
    methods: { GET: own, PUT: profileChange, PATCH: profileChange },
  },
  {
    ...shared,
    path: '/auth/username',
    access: 'signedIn',
    name: 'Set Username',
    description: 'Changes the username.',
    methods: {
      POST: operation({
        summary: 'Changes the username',
        body: confirmation.extend({ new_username: textField(username) }),
        answers: { 204: 'It is changed.', ...REFUSED, ...SIGNED_IN, ...TOO_MANY },
        prepare: ({ context, body }) => confirmPassword(context, body.current_password),
        handle: async ({ context, body, prepared }) => {
          await setUsername(context, prepared, body.new_username);
          return { status: 204 };
        },
      }),
    },
  },
  {
    ...shared,
    path: '/auth/password',
    access: 'signedIn',
    name: 'Set Password',
    description: 'Changes the password, which ends every credential.',
    methods: {
      POST: operation({
        summary: 'Changes the password',
        body: confirmation.extend({ new_password: password }),
        answers: { 204: 'It is changed.', ...REFUSED, ...SIGNED_IN, ...TOO_MANY },
        prepare: ({ context, body }) =>
          preparePassword(context, { currentPassword: body.current_password, newPassword: body.new_password }),
        handle: async ({ context, prepared }) => {
          await setPassword(context, prepared);
          return { status: 204 };
        },
      }),
    },
  },
  {
    ...shared,
    path: '/auth/users/delete',
    access: 'signedIn',
    name: 'User Delete',
    description: 'Closes the account.',
    methods: {
      POST: operation({
        summary: 'Deactivates the account',
        body: confirmation,
        answers: { 204: 'It is closed.', ...REFUSED, ...SIGNED_IN, ...TOO_MANY },
        prepare: ({ context, body }) => confirmPassword(context, body.current_password),
        handle: async ({ context, prepared }) => {
          await deactivateUser(context, prepared);
          return { status: 204 };
        },
      }),
    },
  },
  {
    ...shared,
    path: '/api/account',
    access: 'signedIn',
    challenge: 'JWT realm="api"',
    name: 'Account',
    description: 'The account of the caller, as the posts app asks for it.',
    methods: {
      GET: {
        summary: 'Tells who the caller is',
        answers: { 200: 'The account.', ...SIGNED_IN },
        handle: async ({ context }) => {
          const { id, username, email, isStaff, isActive } = await viewerRow(context);
          return {
            status: 200,
            body: {
              pk: id,
              username,
              email,
              is_staff: isStaff,
              is_superuser: isStaff,
              is_active: isActive,
              avatar: null,
            },
          };
        },
      },
    },
  },
];
