import { CredentialsError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { isViewer } from '../viewer.ts';
import { canSeePrivateFields } from './policy.ts';
import {
  hasVerifiedEmail,
  prepareReset,
  requestEmailVerification,
  requestPasswordReset,
  resetPassword,
  verifyEmail,
} from './recovery.ts';

/** Adds how users get back to an account, and show that an email address is theirs. */
export function defineRecovery(builder: Builder): void {
  builder.objectFields('User', (t) => ({
    emailVerified: t.boolean({
      nullable: true,
      description:
        'Whether the user has shown by `verifyEmail` that the present email address is theirs; null for everybody but the user and staff.',
      resolve: (user, _args, { viewer }) => (canSeePrivateFields(viewer, user) ? hasVerifiedEmail(user) : null),
    }),
  }));

  builder.objectField('User', 'resetEmail', (t) =>
    t.string({
      nullable: true,
      description:
        'Where links to reset the password go: the email address of the sign-up, or the last one that `updateViewer` was given together with the password; empty for none. Null for everybody but the user.',
      resolve: (user, _args, { viewer }) => (isViewer(viewer, user.id) ? user.resetEmail : null),
    }),
  );

  const reset = builder.inputType('ResetPasswordInput', {
    description: 'The token of a link, and the next password.',
    fields: (t) => ({
      token: t.string({ required: true, description: 'The part of the link behind `#token=`.' }),
      newPassword: t.string({
        required: true,
        description: '8 to 128 characters; not a common one, nor like the username.',
      }),
    }),
  });

  // A client may still send a token that has run out.
  builder.mutationFields((t) => ({
    requestPasswordReset: t.boolean({
      skipTypeScopes: true,
      description:
        'Sends the user of this name a mail with a link that sets a new password, to their `resetEmail`. Always true, also when there is no such user, or none with such an address. `RATE_LIMITED` after too many requests from one IP address within an hour; `BAD_INPUT` where the server sends no mails, and for a second request in one operation. It ignores the credential of the request.',
      args: { username: t.arg.string({ required: true, description: 'The name, in any case of letters.' }) },
      resolve: async (_root, { username }, context) => {
        await requestPasswordReset(context, username);
        return true;
      },
    }),
    resetPassword: t.field({
      type: 'User',
      skipTypeScopes: true,
      description:
        'Sets a new password with the token of a link that was mailed, or that the operator handed out, and ends every token and key of the user. The link works once. Sign in with the new password next. It ignores the credential of the request.',
      errors: { types: [CredentialsError, ValidationError] },
      args: { input: t.arg({ type: reset, required: true, description: 'The token and the password.' }) },
      resolve: async (_root, { input: { token, newPassword } }, context) =>
        resetPassword(context, await prepareReset(context, token, newPassword)),
    }),
    requestEmailVerification: t.boolean({
      authScopes: { signedIn: true },
      description:
        'Sends the viewer a mail with a link that shows that their email address is theirs. Always true. `VALIDATION` without an email address, `RATE_LIMITED` after too many requests within an hour, `BAD_INPUT` where the server sends no mails.',
      resolve: async (_root, _args, context) => {
        await requestEmailVerification(context);
        return true;
      },
    }),
    verifyEmail: t.field({
      type: 'User',
      skipTypeScopes: true,
      description:
        'Notes that the email address of a user is theirs, with the token of a link that was mailed to it. It ignores the credential of the request.',
      errors: { types: [CredentialsError] },
      args: { token: t.arg.string({ required: true, description: 'The part of the link behind `#token=`.' }) },
      resolve: (_root, { token }, context) => verifyEmail(context, token),
    }),
  }));
}
