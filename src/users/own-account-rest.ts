import { z } from 'zod';
import type { User } from '../generated/client/client.ts';
import { viewerRow } from '../identity/viewer-row.ts';
import { textField } from '../rest/fields.ts';
import { type Operation, operation, type Resource } from '../rest/resource.ts';
import { LOGIN_FIELDS, TOO_MANY } from '../sessions/rest.ts';
import { confirmPassword } from './confirmation.ts';
import { newAccount } from './fields.ts';
import { deactivateUser, setUsername } from './own-account.ts';
import { preparePassword, setPassword } from './password-change.ts';
import { updateViewer } from './profile.ts';
import { ACCOUNTS, EMAIL_FIELD, REJECTED, SIGNED_IN } from './shared-rest.ts';

const { password } = LOGIN_FIELDS;
const profile = z.object({ email: EMAIL_FIELD.optional() });
const confirmation = z.object({ current_password: password });

function ownBody({ email, id, username }: User) {
  return { email, id, username };
}

const profileChange = operation({
  summary: 'Changes the email address',
  body: profile,
  answers: { 200: 'The account.', ...REJECTED, ...SIGNED_IN },
  handle: async ({ context, body }) => ({ status: 200, body: ownBody(await updateViewer(context, body)) }),
});

const own: Operation = {
  summary: 'Returns the account of the caller',
  answers: { 200: 'The account.', ...SIGNED_IN },
  handle: async ({ context }) => ({ status: 200, body: ownBody(await viewerRow(context)) }),
};

/** The documented paths of the caller's own account: those of djoser, and the one of the posts application. */
export const OWN_ACCOUNT_RESOURCES: readonly Resource[] = [
  {
    ...ACCOUNTS,
    path: '/auth/me',
    access: 'signedIn',
    name: 'User',
    description: 'The account of the caller.',
    methods: { GET: own, PUT: profileChange, PATCH: profileChange },
  },
  {
    ...ACCOUNTS,
    path: '/auth/username',
    access: 'signedIn',
    name: 'Set Username',
    description: 'Changes the username.',
    methods: {
      POST: operation({
        summary: 'Changes the username',
        body: confirmation.extend({ new_username: textField(newAccount.shape.username) }),
        answers: { 204: 'The account is changed.', ...REJECTED, ...SIGNED_IN, ...TOO_MANY },
        prepare: ({ context, body }) => confirmPassword(context, body.current_password),
        handle: async ({ context, body, prepared }) => {
          await setUsername(context, prepared, body.new_username);
          return { status: 204 };
        },
      }),
    },
  },
  {
    ...ACCOUNTS,
    path: '/auth/password',
    access: 'signedIn',
    name: 'Set Password',
    description: 'Changes the password, which ends every credential.',
    methods: {
      POST: operation({
        summary: 'Changes the password',
        body: confirmation.extend({ new_password: password }),
        answers: { 204: 'The account is changed.', ...REJECTED, ...SIGNED_IN, ...TOO_MANY },
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
    ...ACCOUNTS,
    path: '/auth/users/delete',
    access: 'signedIn',
    name: 'User Delete',
    description: 'Deactivates the account.',
    methods: {
      POST: operation({
        summary: 'Deactivates the account',
        body: confirmation,
        answers: { 204: 'The account is deactivated.', ...REJECTED, ...SIGNED_IN, ...TOO_MANY },
        prepare: ({ context, body }) => confirmPassword(context, body.current_password),
        handle: async ({ context, prepared }) => {
          await deactivateUser(context, prepared);
          return { status: 204 };
        },
      }),
    },
  },
  {
    ...ACCOUNTS,
    path: '/api/account',
    access: 'signedIn',
    challenge: 'JWT realm="api"',
    name: 'Account',
    description: 'The account of the caller, in the form of the posts application.',
    methods: {
      GET: {
        summary: 'Returns the account of the caller',
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
