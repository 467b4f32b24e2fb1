import { z } from 'zod';
import { actorOf } from '../audit/service.ts';
import type { Context } from '../context.ts';
import type { RowCondition } from '../database/condition.ts';
import { type ListFilter, startsWith, timeRange } from '../database/list-filters.ts';
import type { OrderColumns } from '../database/page.ts';
import { ValidationError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { requireStaff } from '../identity/rights.ts';
import { usernameKey } from '../identity/usernames.ts';
import { boolean, filterText, requireId, type Unvalidated, validate } from '../validation.ts';
import { changeStatus } from './account-status.ts';
import { MAX_EMAIL, MAX_USERNAME } from './fields.ts';

export const USER_ORDERS = { id: 'number', username: 'text', createdAt: 'date' } as const satisfies OrderColumns;

/** The conditions on a list of users; a condition that is left out or null does not apply. */
export interface UserFilter extends ListFilter<UserFilter> {
  readonly usernameStartsWith?: string | null | undefined;
  readonly usernameContains?: string | null | undefined;
  readonly emailContains?: string | null | undefined;
  readonly isActive?: boolean | null | undefined;
  readonly isStaff?: boolean | null | undefined;
  readonly createdFrom?: Date | null | undefined;
  readonly createdBefore?: Date | null | undefined;
}

/**
 * Returns the condition of the users that a filter selects; it compares usernames without regard to case.
 *
 * @throws {ValidationError} when a text is longer than the column that it is compared with
 */
export function userCondition(filter: Partial<UserFilter>): RowCondition<'User'> {
  const { usernameStartsWith, usernameContains, emailContains, isActive, isStaff, createdFrom, createdBefore } = filter;
  return {
    ...((usernameStartsWith ?? usernameContains) != null && {
      usernameKey: {
        ...(usernameStartsWith != null && startsWith(keyOf('usernameStartsWith', usernameStartsWith))),
        ...(usernameContains != null && { contains: keyOf('usernameContains', usernameContains) }),
      },
    }),
    ...(emailContains != null && { email: { contains: filterText('emailContains', emailContains, MAX_EMAIL) } }),
    ...(isActive != null && { isActive }),
    ...(isStaff != null && { isStaff }),
    ...timeRange('createdAt', createdFrom, createdBefore),
  };
}

function keyOf(path: string, text: string): string {
  return usernameKey(filterText(path, text, MAX_USERNAME));
}

const userStatus = z.object({ isActive: boolean().optional(), isStaff: boolean().optional() });

export type NewUserStatus = Unvalidated<z.input<typeof userStatus>> & { readonly userId: string | number };

/**
 * Changes the status of another user, for staff.
 *
 * @throws {ValidationError} when a value is null, or when staff would deactivate or demote themselves
 * @throws {NotFoundError} when there is no such user
 * @throws {AppError} `FORBIDDEN` unless the viewer is staff
 */
export async function setUserStatus(context: Context, { userId, ...input }: NewUserStatus): Promise<User> {
  const viewer = requireStaff(context.viewer);
  const status = validate(userStatus, input);
  const id = requireId(userId);
  if (id === viewer.id) {
    rejectOwnStatus(status);
  }
  return (await changeStatus(context, actorOf(context), id, status)).user;
}

/**
 * Keeps staff from demoting themselves by mistake.
 *
 * @throws {ValidationError} when the status would deactivate or demote
 */
function rejectOwnStatus({ isActive, isStaff }: { readonly isActive?: boolean; readonly isStaff?: boolean }): void {
  const problems = [
    ...(isActive === false
      ? [{ path: 'isActive', message: 'You cannot deactivate yourself here: use `deactivateViewer`.' }]
      : []),
    ...(isStaff === false
      ? [{ path: 'isStaff', message: 'You cannot demote yourself: ask another staff member.' }]
      : []),
  ];
  if (problems.length > 0) {
    throw new ValidationError(problems);
  }
}
