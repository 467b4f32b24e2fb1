import { userInfo } from 'node:os';
import type { Actor } from '../accounts/audit.ts';

/** The operator who runs a command, by the account on the operating system. */
export function operator(): Actor {
  return { id: null, name: accountName(), source: 'COMMAND' };
}

function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    // In a container, a process may run as a user that has no name.
    return '';
  }
}
