import { type ScopeRule, scopeName } from '../changes/scopes.ts';

const USER = 'user';

/** Returns the scope of the changes that concern one user: of credentials, the role and memberships. */
export function userScope(userId: number): string {
  return scopeName(USER, userId);
}

/** Returns the user of a scope that {@link userScope} returned; null for any other scope. */
export function userOfScope(scope: string): number | null {
  return scope.startsWith(`${USER}:`) ? Number(scope.slice(USER.length + 1)) : null;
}

/** Returns the scope rule of rows whose user is in a column. */
export function scopeOfUser(column: string): ScopeRule {
  return { prefix: USER, column };
}
