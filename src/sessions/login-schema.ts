import type { Builder } from '../graphql/builder.ts';

/** Defines the input of every mutation that signs in with a password. */
export function defineLogin(builder: Builder) {
  return builder.inputType('LoginInput', {
    description: 'The username and password of a user who signs in.',
    fields: (t) => ({
      username: t.string({
        required: true,
        description: 'The username, upper and lower case being equal. An email address is not accepted.',
      }),
      password: t.string({ required: true, description: 'The password, exactly as it was set.' }),
    }),
  });
}
