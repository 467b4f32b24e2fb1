import type { Builder } from '../graphql/builder.ts';

/** Adds the input of every mutation that signs in with a password. */
export function defineLogin(builder: Builder) {
  return builder.inputType('LoginInput', {
    description: 'A username and its password.',
    fields: (t) => ({
      username: t.string({ required: true, description: 'In any case of letters.' }),
      password: t.string({ required: true, description: 'As it was set.' }),
    }),
  });
}
