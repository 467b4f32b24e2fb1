import { scopeOfUser } from '../identity/scopes.ts';
import type { Slice } from '../slice.ts';
import { defineCredentialOfRequest } from './connection-schema.ts';
import { defineOwnCredentials } from './own-credentials-schema.ts';
import { JWT_RESOURCES } from './rest.ts';
import { defineSignIn } from './schema.ts';
import { removeExpiredSessions } from './session-life.ts';

const ENDED = {
  scope: scopeOfUser('userId'),
  columns: ['id', 'userId'],
  actions: ['DELETE'],
  decidesAccess: true,
} as const;

/** Sessions with their tokens and cookies, and API keys. The log contains only that a session or key was ended. */
export const sessions: Slice = {
  models: { AuthToken: ENDED, Session: ENDED, RefreshToken: null },
  schema: [defineSignIn, defineCredentialOfRequest, defineOwnCredentials],
  rest: () => JWT_RESOURCES,
  removeExpired: (database, config, stopping) => removeExpiredSessions(database, config.auth, stopping),
};
