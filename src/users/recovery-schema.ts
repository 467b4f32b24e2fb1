import { CredentialsError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { isViewer } from '../viewer.ts';
import { hasVerifiedEmail, requestEmailVerification, verifyEmail } from './email-verification.ts';
import { canSeePrivateFields } from './policy.ts';
import { prepareReset, requestPasswordReset, resetPassword } from './recovery.ts';

/** Defines the mutations that reset a forgotten password and verify an email address. */
export function defineRecovery(builder: Builder): void {
  builder.objectFields('User', (t) => ({
    emailVerified: t.boolean({
      nullable: true,
      description:
        'Whether the user has confirmed the current email address by `verifyEmail`. Null for other viewers than the user and staff.',
      resolve: (user, _args, { viewer }) => (canSeePrivateFields(viewer, user) ? hasVerifiedEmail(user) : null),
    }),
  }));

  builder.objectField('User', 'resetEmail', (t) =>
    t.string({
      nullable: true,
      description:
        'The email address to which `requestPasswordReset` sends links: that of the sign-up, or the last one that `updateViewer` changed with `currentPassword`; empty for none. Null for other viewers than the user.',
      resolve: (user, _args, { viewer }) => (isViewer(viewer, user.id) ? user.resetEmail : null),
    }),
  );

  const reset = builder.inputType('ResetPasswordInput', {
    description: 'The token of a reset link and the new password.',
    fields: (t) => ({
      token: t.string({ required: true, description: 'The token of the reset link: the part after `#token=`.' }),
      newPassword: t.string({
        required: true,
        description:
          'The new password: 8 to 128 characters, not only digits, not a common password, and not similar to the username or email address.',
      }),
    }),
  });

  // A client may still send a token that has run out.
  builder.mutationFields((t) => ({
    requestPasswordReset: t.boolean({
      skipTypeScopes: true,
      description:
        'Mails a link for `resetPassword` to the `resetEmail` of a user who forgot the password. Always returns true, also when no such user exists or has an address, so that it does not disclose who has an account. `RATE_LIMITED` after too many requests from one IP address within an hour; `BAD_INPUT` when the server is not configured to send mail, and for a second request in one operation. It ignores the credential of the request.',
      args: {
        username: t.arg.string({ required: true, description: 'The username, upper and lower case being equal.' }),
      },
      resolve: async (_root, { username }, context) => {
        await requestPasswordReset(context, username);
        return true;
      },
    }),
    resetPassword: t.field({
      type: 'User',
      skipTypeScopes: true,
      description:
        'Sets a new password with the token of a reset link, from `requestPasswordReset` or from the operator, and ends every session and API key of the user; sign in with the new password next. A link can be used once, within an hour by default: afterwards it is a `CredentialsError`. It ignores the credential of the request.',
      errors: { types: [CredentialsError, ValidationError] },
      args: {
        input: t.arg({ type: reset, required: true, description: 'The token of the link and the new password.' }),
      },
      resolve: async (_root, { input: { token, newPassword } }, context) =>
        resetPassword(context, await prepareReset(context, token, newPassword)),
    }),
    requestEmailVerification: t.boolean({
      authScopes: { signedIn: true },
      description:
        'Mails a link for `verifyEmail` to the email address of the viewer. Always returns true. `VALIDATION` when the viewer has no email address, `RATE_LIMITED` after too many requests within an hour, `BAD_INPUT` when the server is not configured to send mail.',
      resolve: async (_root, _args, context) => {
        await requestEmailVerification(context);
        return true;
      },
    }),
    verifyEmail: t.field({
      type: 'User',
      skipTypeScopes: true,
      description:
        'Confirms the email address of a user with the token of a link from `requestEmailVerification`, and sets `User.emailVerified`. `CredentialsError` when the link has expired (after 3 days by default) or the address has changed since. It ignores the credential of the request.',
      errors: { types: [CredentialsError] },
      args: {
        token: t.arg.string({ required: true, description: 'The token of the link: the part after `#token=`.' }),
      },
      resolve: (_root, { token }, context) => verifyEmail(context, token),
    }),
  }));
}
