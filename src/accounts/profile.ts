import type { z } from 'zod';
import type { Context } from '../context.ts';
import type { User } from '../generated/client/client.ts';
import { oneOf, type Unchecked, validate } from '../validation.ts';
import { signedIn } from './policy.ts';
import { newAccount } from './service.ts';

/** Who may add a user to a chat: everybody, or only people with whom the user shares one. */
const ADDABLE_BY = ['EVERYBODY', 'CONTACTS'] as const;
export type AddableBy = (typeof ADDABLE_BY)[number];

const profile = newAccount
  .pick({ email: true, firstName: true, lastName: true })
  .extend({ addableBy: oneOf(ADDABLE_BY).optional() });

export type Profile = Unchecked<z.input<typeof profile>>;

/** Changes what the viewer tells of themselves, and who may add them to chats; fields that are left out stay. */
export async function updateViewer({ database, viewer }: Context, input: Profile): Promise<User> {
  const { id } = signedIn(viewer);
  return database.user.update({ where: { id }, data: validate(profile, input) });
}
