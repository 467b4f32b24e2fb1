import { userInfo } from 'node:os';
import type { Actor } from '../../audit/service.ts';

/** Returns the operator who runs a command, named by their account of the operating system. */
export function operator(): Actor {
  return { id: null, name: accountName(), source: 'COMMAND' };
}

function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    // In a container, a process may run as a user without a name.
    return '';
  }
}
