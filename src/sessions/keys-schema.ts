import { CredentialsError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { IDEMPOTENCY_KEY, idempotentAfter } from '../graphql/idempotent-mutation.ts';
import { createAuthToken, prepareAuthToken } from './keys.ts';
import type { defineLogin } from './login-schema.ts';

/** Defines the mutation that creates API keys. */
export function defineKeys(builder: Builder, login: ReturnType<typeof defineLogin>): void {
  const key = builder.objectRef<Awaited<ReturnType<typeof createAuthToken>>>('AuthTokenKey').implement({
    description: 'A new API key together with its user.',
    fields: (t) => ({
      authToken: t.exposeString('authToken', {
        description:
          'The API key, 40 hexadecimal digits: send it as `Authorization: Token <key>`. Store it now, since it cannot be read again.',
      }),
      user: t.expose('user', { type: 'User', description: 'The user whom the API key authenticates.' }),
    }),
  });

  builder.mutationFields((t) => ({
    createAuthToken: t.field({
      type: key,
      skipTypeScopes: true,
      description:
        'Creates an API key, for a script or device that cannot refresh tokens. It does not expire; `endAuthToken`, `destroyAuthToken`, a new password and deactivation revoke it. `RATE_LIMITED` after too many failed attempts within five minutes. It ignores the credential of the request.',
      errors: { types: [CredentialsError, ValidationError] },
      args: {
        input: t.arg({
          type: login,
          required: true,
          description: 'The username and password of the user whom the key will authenticate.',
        }),
        name: t.arg.string({
          description: 'A name by which the user recognises the key in `User.authTokens`: 1 to 100 characters.',
        }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: idempotentAfter(
        'createAuthToken',
        (context, { input, name }) => prepareAuthToken(context, input, name ?? null),
        (context, _args, prepared) => createAuthToken(context, prepared),
      ),
    }),
  }));
}
