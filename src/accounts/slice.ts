import type { Slice } from '../slice.ts';
import { scopeOfUser } from './scopes.ts';

/**
 * The log holds what ends access on open sockets: the role and status of users, and the credentials that are gone. Never a name, an address, a
 * hash or anything that could be signed in with.
 */
export const accounts: Slice = {
  log: {
    User: {
      scope: scopeOfUser('id'),
      columns: ['id', 'isActive', 'isStaff', 'credentialsChangedAt'],
      // A viewer has a name, and access tokens are good for one name.
      alsoUpdatedBy: ['username', 'usernameKey'],
      actions: ['UPDATE', 'DELETE'],
      decidesAccess: true,
    },
    AuthToken: { scope: scopeOfUser('userId'), columns: ['id', 'userId'], actions: ['DELETE'], decidesAccess: true },
    Session: { scope: scopeOfUser('userId'), columns: ['id', 'userId'], actions: ['DELETE'], decidesAccess: true },
  },
};
