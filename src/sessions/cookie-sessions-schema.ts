import { CredentialsError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { signInBrowser, signOut } from './cookie-sessions.ts';
import type { defineLogin } from './login-schema.ts';

/** Defines the mutations by which browsers sign in and out. */
export function defineCookieSessions(builder: Builder, login: ReturnType<typeof defineLogin>): void {
  builder.mutationFields((t) => ({
    signIn: t.field({
      type: 'User',
      skipTypeScopes: true,
      description:
        'Signs in a page in a browser by a cookie: the response sets an `HttpOnly` cookie, which the browser sends with later requests. Other programs use `obtainToken`. Each call starts a new session and ends that of the cookie which it replaces. `BAD_INPUT` unless the request is an HTTP POST; `FORBIDDEN` unless it comes from a page of this server or of an origin that the operator allows (`CORS_ORIGINS`); `RATE_LIMITED` after too many failed attempts within five minutes. In its result, private fields of the user such as `email` are null: query `viewer` next. It ignores the credential of the request.',
      errors: { types: [CredentialsError] },
      args: { input: t.arg({ type: login, required: true, description: 'The username and password of the user.' }) },
      resolve: (_root, { input }, context) => signInBrowser(context, input),
    }),
    signOut: t.boolean({
      skipTypeScopes: true,
      description:
        'Signs out a page in a browser: ends the session of the cookie and clears the cookie, also when the session has ended already or there is no cookie. With an accepted `Authorization` header it is the same as `destroyAuthToken`; otherwise it fails like `signIn` with `BAD_INPUT` and `FORBIDDEN`. Always returns true.',
      resolve: async (_root, _args, context) => {
        await signOut(context);
        return true;
      },
    }),
  }));
}
