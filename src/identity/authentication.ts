import type { Services } from '../context.ts';
import type { User } from '../generated/client/client.ts';
import { passwordMatches } from './passwords.ts';
import { usernameKey } from './usernames.ts';

/** A longer username is treated as unknown. */
const MAX_USERNAME_LENGTH = 1000;

/** Returns the active user with this name and password, or null. An unknown name takes as long as a wrong password. */
export async function authenticate({ database }: Services, username: string, password: string): Promise<User | null> {
  const user =
    username.length > MAX_USERNAME_LENGTH
      ? null
      : await database.user.findUnique({ where: { usernameKey: usernameKey(username) } });
  const matches = await passwordMatches(user?.passwordHash ?? null, password);
  return user && matches && user.isActive ? user : null;
}
