import { CredentialsError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { signInBrowser, signOut } from './cookie-sessions.ts';
import type { defineLogin } from './login-schema.ts';

/** Adds the mutations by which browsers sign in and out. */
export function defineCookieSessions(builder: Builder, login: ReturnType<typeof defineLogin>): void {
  builder.mutationFields((t) => ({
    signIn: t.field({
      type: 'User',
      skipTypeScopes: true,
      description:
        'Signs a browser in: the answer sets a cookie that scripts cannot read, and that every later request of the same page carries. Pages use it; programs use `obtainToken`. It is a new session each time, and ends the one whose cookie it replaces. By an HTTP POST alone, from a page of the server or of an origin that the operator names: elsewhere it fails with `BAD_INPUT` or `FORBIDDEN`. In its own answer the private fields of the user are still null.',
      errors: { types: [CredentialsError] },
      args: { input: t.arg({ type: login, required: true, description: 'Who signs in.' }) },
      resolve: (_root, { input }, context) => signInBrowser(context, input),
    }),
    signOut: t.boolean({
      skipTypeScopes: true,
      description:
        'Signs out: ends the session of the cookie and clears the cookie, also one whose session has ended already. With an `Authorization` header it does what `destroyAuthToken` does. With a cookie it has the conditions of `signIn`. Always true.',
      resolve: async (_root, _args, context) => {
        await signOut(context);
        return true;
      },
    }),
  }));
}
