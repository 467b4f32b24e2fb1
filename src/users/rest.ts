import type { Resource } from '../rest/resource.ts';
import { CREDENTIAL_RESOURCES } from './credential-rest.ts';
import { OWN_ACCOUNT_RESOURCES } from './own-account-rest.ts';

/** The documented paths of accounts. */
export const USER_RESOURCES: readonly Resource[] = [...CREDENTIAL_RESOURCES, ...OWN_ACCOUNT_RESOURCES];
