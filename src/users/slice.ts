import { scopeOfUser } from '../identity/scopes.ts';
import type { Slice } from '../slice.ts';
import { defineOwnAccount } from './account-schema.ts';
import { createSuperuser } from './commands/superuser.ts';
import { manageUsers } from './commands/user.ts';
import { defineProfile } from './profile-schema.ts';
import { defineRecovery } from './recovery-schema.ts';
import { USER_RESOURCES } from './rest.ts';
import { defineUsers } from './schema.ts';
import { fillUsernameSkeletons } from './skeletons.ts';
import { defineStaff } from './staff-schema.ts';

/**
 * Users and their accounts. The log contains the columns that end access on open connections, the role, status and visibility of users, but never a name, an address, a
 * hash or a credential.
 */
export const users: Slice = {
  models: {
    User: {
      scope: scopeOfUser('id'),
      columns: ['id', 'isActive', 'isStaff', 'credentialsChangedAt', 'presence'],
      // Cached viewers and access tokens contain the username.
      alsoUpdatedBy: ['username', 'usernameKey'],
      actions: ['UPDATE', 'DELETE'],
      decidesAccess: true,
    },
  },
  schema: [defineUsers, defineOwnAccount, defineProfile, defineRecovery, defineStaff],
  rest: () => USER_RESOURCES,
  backfill: fillUsernameSkeletons,
  commands: { createsuperuser: createSuperuser, user: manageUsers },
};
