import { AppError, UnauthenticatedError } from '../errors.ts';
import type { UserViewer, Viewer } from '../viewer.ts';

/**
 * Returns the viewer as a user.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export function requireUser(viewer: Viewer): UserViewer {
  if (viewer.kind === 'anonymous') {
    throw new UnauthenticatedError();
  }
  return viewer;
}

/**
 * Returns the viewer as a staff member.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {AppError} `FORBIDDEN` for users who are not staff
 */
export function requireStaff(viewer: Viewer): UserViewer {
  const user = requireUser(viewer);
  requirePermission(user.isStaff);
  return user;
}

/**
 * @throws {AppError} `FORBIDDEN` unless `allowed`
 */
export function requirePermission(allowed: boolean): void {
  if (!allowed) {
    throw new AppError('FORBIDDEN');
  }
}
