import { type ScopeRule, scopeName } from '../changes/scopes.ts';
import { UnauthenticatedError } from '../errors.ts';
import type { Viewer } from '../viewer.ts';

interface OwnedCondition {
  ownerId?: number | null;
  OR?: { ownerId: number | null }[];
  id?: { in: number[] };
}

/**
 * Returns the policy of rows that may have an owner (todos, lists, notes): their owner and staff may read and change them, and everybody may where they have no
 * owner, unless `ALLOW_ANONYMOUS` is off.
 */
export function ownedRows(viewer: Viewer): OwnedCondition {
  if (viewer.kind === 'user') {
    if (viewer.isStaff) {
      return {};
    }
    return viewer.sharesOwnerless ? { OR: [{ ownerId: viewer.id }, { ownerId: null }] } : { ownerId: viewer.id };
  }
  return viewer.sharesOwnerless ? { ownerId: null } : { id: { in: [] } };
}

/**
 * Returns the owner of a row that the viewer creates: the viewer, or null for an anonymous viewer.
 *
 * @throws {UnauthenticatedError} when the viewer is anonymous and `ALLOW_ANONYMOUS` is off
 */
export function ownerOfNewRow(viewer: Viewer): number | null {
  if (viewer.kind === 'user') {
    return viewer.id;
  }
  if (!viewer.sharesOwnerless) {
    throw new UnauthenticatedError();
  }
  return null;
}

const OWNER = 'owner';

/** The scope of the rows without an owner. */
const EVERYBODY = 'everybody';

/** The scope rule of rows that may have an owner. */
export const SCOPE_OF_OWNER: ScopeRule = { prefix: OWNER, column: 'ownerId', whenNull: EVERYBODY };

/** Returns the scopes of the rows that {@link ownedRows} shows to the viewer; null for all scopes. */
export function ownedScopes(viewer: Viewer): readonly string[] | null {
  if (viewer.kind === 'user' && viewer.isStaff) {
    return null;
  }
  return [
    ...(viewer.kind === 'user' ? [scopeName(OWNER, viewer.id)] : []),
    ...(viewer.sharesOwnerless ? [EVERYBODY] : []),
  ];
}
