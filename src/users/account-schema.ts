import { ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { IDEMPOTENCY_KEY, idempotentAfter } from '../graphql/idempotent-mutation.ts';
import { limitSignUp } from '../identity/write-limits.ts';
import { confirmPassword } from './confirmation.ts';
import { deactivateUser } from './own-account.ts';
import { changePassword } from './password-change.ts';
import { createAccount, prepareAccount } from './sign-up.ts';

/** Defines the mutations of a user's own account: signing up, changing the password, deactivating the account. */
export function defineOwnAccount(builder: Builder): void {
  const newAccount = builder.inputType('SignUpInput', {
    description: 'The fields of a new account.',
    fields: (t) => ({
      username: t.string({
        required: true,
        description:
          'The name to sign in with: at most 150 letters of one script, digits and `@.+-_`. No other user may have the same name in upper or lower case, or one that looks like it (UTS 39).',
      }),
      password: t.string({
        required: true,
        description:
          'The password: 8 to 128 characters, not only digits, not a common password, and not similar to the username or email address.',
      }),
      email: t.string({
        description: 'The email address, at most 254 characters; left out or empty for none. Reset links go to it.',
      }),
      firstName: t.string({ description: 'The first name, at most 150 characters.' }),
      lastName: t.string({ description: 'The last name, at most 150 characters.' }),
    }),
  });
  const newPassword = builder.inputType('ChangePasswordInput', {
    description: 'The current password and the new one.',
    fields: (t) => ({
      currentPassword: t.string({
        required: true,
        description: 'The current password, as a confirmation by the user.',
      }),
      newPassword: t.string({
        required: true,
        description:
          'The password: 8 to 128 characters, not only digits, not a common password, and not similar to the username or email address.',
      }),
    }),
  });

  builder.mutationFields((t) => ({
    signUp: t.field({
      type: 'User',
      // It has to work while a client still sends a token that has run out.
      skipTypeScopes: true,
      description:
        'Creates an account; sign in with `signIn` or `obtainToken` next. `ValidationError` when the username is taken or a value is rejected, `RATE_LIMITED` after too many attempts from one IP address within an hour. It ignores the credential of the request.',
      errors: { types: [ValidationError] },
      args: {
        input: t.arg({ type: newAccount, required: true, description: 'The fields of the new account.' }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: idempotentAfter(
        'signUp',
        async (context, { input }) => {
          await limitSignUp(context);
          return prepareAccount(input);
        },
        (context, _args, account) => createAccount(context, account),
      ),
    }),
    changePassword: t.field({
      type: 'TokenPair',
      authScopes: { signedIn: true },
      description:
        'Sets a new password, ends every session and API key of the viewer, and signs in again: it returns the tokens of a new session and, for a request that was authenticated by a cookie, sets a new cookie. A wrong `currentPassword` is a `ValidationError`, and `RATE_LIMITED` after too many of them within five minutes.',
      errors: { types: [ValidationError] },
      args: { input: t.arg({ type: newPassword, required: true, description: 'The current and the new password.' }) },
      resolve: (_root, { input }, context) => changePassword(context, input),
    }),
    deactivateViewer: t.field({
      type: 'User',
      authScopes: { signedIn: true },
      description:
        'Deactivates the account of the viewer and ends all its sessions and API keys. The objects of the user stay; staff can activate the account again. A wrong password is a `ValidationError`, and `RATE_LIMITED` after too many of them within five minutes.',
      errors: { types: [ValidationError] },
      args: {
        currentPassword: t.arg.string({
          required: true,
          description: 'The current password, as a confirmation by the user.',
        }),
      },
      resolve: async (_root, { currentPassword }, context) =>
        deactivateUser(context, await confirmPassword(context, currentPassword)),
    }),
  }));
}
