import { z } from 'zod';
import type { Context } from '../context.ts';
import type { Condition } from '../database/condition.ts';
import { type Order, type OrderColumns, type Page, type PageArguments, readPage } from '../database/page.ts';
import { ValidationError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { existingId, filterText, truth, type Unchecked, validate } from '../validation.ts';
import { changeStatus } from './account-status.ts';
import { actorOf } from './audit.ts';
import { staffMember, visibleUsers } from './policy.ts';
import { MAX_EMAIL, MAX_USERNAME } from './service.ts';
import { usernameKey } from './usernames.ts';

export const USER_ORDERS = { id: 'number', username: 'text', createdAt: 'date' } as const satisfies OrderColumns;

/** The last code point, which no username contains. */
const LAST_CODE_POINT = '\u{10ffff}';

/** Narrows a list of users; conditions that are left out do not narrow it. */
export interface UserFilter {
  readonly usernameStartsWith?: string | null | undefined;
  readonly usernameContains?: string | null | undefined;
  readonly emailContains?: string | null | undefined;
  readonly isActive?: boolean | null | undefined;
  readonly isStaff?: boolean | null | undefined;
  readonly createdFrom?: Date | null | undefined;
  readonly createdBefore?: Date | null | undefined;
}

/**
 * The users that a filter selects, by usernames in any case of letters.
 *
 * @throws {ValidationError} when a text of it is longer than what it is compared with
 */
export function usersWhere(filter: UserFilter | null | undefined): Condition<'User'> {
  const { usernameStartsWith, usernameContains, emailContains, isActive, isStaff, createdFrom, createdBefore } =
    filter ?? {};
  return {
    ...((usernameStartsWith ?? usernameContains) != null && {
      usernameKey: {
        ...(usernameStartsWith != null && startingWith(keyOf('usernameStartsWith', usernameStartsWith))),
        ...(usernameContains != null && { contains: keyOf('usernameContains', usernameContains) }),
      },
    }),
    ...(emailContains != null && { email: { contains: filterText('emailContains', emailContains, MAX_EMAIL) } }),
    ...(isActive != null && { isActive }),
    ...(isStaff != null && { isStaff }),
    ...((createdFrom ?? createdBefore) && {
      createdAt: { ...(createdFrom && { gte: createdFrom }), ...(createdBefore && { lt: createdBefore }) },
    }),
  };
}

function keyOf(path: string, text: string): string {
  return usernameKey(filterText(path, text, MAX_USERNAME));
}

/** The texts that begin with a text: a range, in which an index can be read. */
function startingWith(start: string) {
  return { gte: start, lt: `${start}${LAST_CODE_POINT}` };
}

/**
 * One page of the users, for staff; see {@link readPage} for its other failures.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {AppError} `FORBIDDEN` unless the viewer is staff
 */
export async function listUsers(
  context: Context,
  filter: UserFilter | null | undefined,
  order: Order<keyof typeof USER_ORDERS>,
  page: PageArguments,
): Promise<Page<User>> {
  const visible = visibleUsers(staffMember(context.viewer));
  return readPage(
    context,
    { model: 'User', where: visible, filter: usersWhere(filter), columns: USER_ORDERS },
    page,
    order,
  );
}

const userStatus = z.object({ isActive: truth().optional(), isStaff: truth().optional() });

export type NewUserStatus = Unchecked<z.input<typeof userStatus>> & { readonly userId: string | number };

/**
 * Changes the status of another user, for staff.
 *
 * @throws {ValidationError} when a value is null, or staff would deactivate or demote themselves
 * @throws {NotFoundError} when there is no such user
 * @throws {AppError} `FORBIDDEN` unless the viewer is staff
 */
export async function setUserStatus(context: Context, { userId, ...input }: NewUserStatus): Promise<User> {
  const viewer = staffMember(context.viewer);
  const status = validate(userStatus, input);
  const id = existingId(userId);
  if (id === viewer.id) {
    refuseOwn(status);
  }
  return (await changeStatus(context, actorOf(context), id, status)).user;
}

/** Nobody demotes themselves by mistake. Who closes their own account means it: an operator can make other staff. */
function refuseOwn({ isActive, isStaff }: { readonly isActive?: boolean; readonly isStaff?: boolean }): void {
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
