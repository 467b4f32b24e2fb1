import type { RowPolicy } from '../database/condition.ts';
import { AppError, UnauthenticatedError } from '../errors.ts';
import { isViewer, type Viewer } from '../viewer.ts';

type SignedIn = Extract<Viewer, { kind: 'user' }>;

/**
 * The viewer, when somebody is signed in.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export function signedIn(viewer: Viewer): SignedIn {
  if (viewer.kind === 'anonymous') {
    throw new UnauthenticatedError();
  }
  return viewer;
}

/** The users that the viewer may know of: all of them once signed in. */
export function visibleUsers(viewer: Viewer): RowPolicy<'User'> {
  return viewer.kind === 'user' ? {} : { id: { in: [] } };
}

/**
 * The viewer, when they are staff.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {AppError} `FORBIDDEN` for users who are not staff
 */
export function staffMember(viewer: Viewer): SignedIn {
  const user = signedIn(viewer);
  permit(user.isStaff);
  return user;
}

/** The audit entries that the viewer may read: all of them for staff. */
export function visibleAuditEntries(viewer: Viewer): RowPolicy<'AuditEntry'> {
  return viewer.kind === 'user' && viewer.isStaff ? {} : { id: { in: [] } };
}

/** Whether the viewer may see what concerns only the user: the email address, the standing, when the account was made. */
export function canSeePrivateFields(viewer: Viewer, user: { readonly id: number }): boolean {
  return viewer.kind === 'user' && (viewer.isStaff || isViewer(viewer, user.id));
}

interface OwnedWhere {
  ownerId?: number | null;
  OR?: { ownerId: number | null }[];
  id?: { in: number[] };
}

/**
 * The rule for rows that may have an owner (todos, lists, notes): their owner and staff see and change them; without an owner they
 * are everybody's, unless the server was told not to allow that.
 */
export function ownedRows(viewer: Viewer): OwnedWhere {
  if (viewer.kind === 'user') {
    if (viewer.isStaff) {
      return {};
    }
    return viewer.sharesOwnerless ? { OR: [{ ownerId: viewer.id }, { ownerId: null }] } : { ownerId: viewer.id };
  }
  return viewer.sharesOwnerless ? { ownerId: null } : { id: { in: [] } };
}

/**
 * Who owns a row that the viewer makes: the viewer, or nobody.
 *
 * @throws {UnauthenticatedError} when the viewer is anonymous and the server keeps no rows without an owner
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

/**
 * @throws {AppError} `FORBIDDEN` unless `allowed`
 */
export function permit(allowed: boolean): void {
  if (!allowed) {
    throw new AppError('FORBIDDEN');
  }
}
