import type { ScopeRule } from '../changes/scopes.ts';
import { scopeName } from '../changes/scopes.ts';
import type { Viewer } from '../viewer.ts';

const USER = 'user';
const OWNER = 'owner';
/** The scope of rows that nobody owns. */
const EVERYBODY = 'everybody';

/** What concerns a user alone: credentials, the role, memberships. */
export function userScope(userId: number): string {
  return scopeName(USER, userId);
}

/** The user whom a scope of {@link userScope} concerns; null for any other scope. */
export function userOfScope(scope: string): number | null {
  return scope.startsWith(`${USER}:`) ? Number(scope.slice(USER.length + 1)) : null;
}

/** The scope of rows that name their user in a column. */
export function scopeOfUser(column: string): ScopeRule {
  return { prefix: USER, column };
}

/** The scope of rows that may have an owner. */
export const SCOPE_OF_OWNER: ScopeRule = { prefix: OWNER, column: 'ownerId', whenNull: EVERYBODY };

/** The scopes of the rows that `ownedRows` lets the viewer see; null for all. */
export function ownedScopes(viewer: Viewer): readonly string[] | null {
  if (viewer.kind === 'user' && viewer.isStaff) {
    return null;
  }
  return [
    ...(viewer.kind === 'user' ? [scopeName(OWNER, viewer.id)] : []),
    ...(viewer.sharesOwnerless ? [EVERYBODY] : []),
  ];
}
