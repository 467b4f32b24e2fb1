import { addableUsers } from '../chat/policy.ts';
import type { Context } from '../context.ts';
import type { Condition, RowCondition } from '../database/condition.ts';
import { filterCondition, type ListArguments, startsWith } from '../database/list-filters.ts';
import { type Page, readPage } from '../database/page.ts';
import { AppError, ValidationError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { requireUser } from '../identity/rights.ts';
import { usernameKey } from '../identity/usernames.ts';
import { limitUserSearch } from '../identity/write-limits.ts';
import { lengthInCharacters } from '../validation.ts';
import type { UserViewer } from '../viewer.ts';
import { MAX_USERNAME } from './fields.ts';
import { visibleUsers } from './policy.ts';
import { USER_ORDERS, type UserFilter, userCondition } from './staff.ts';

const MIN_SEARCH = 2;

interface UserListing extends ListArguments<UserFilter, typeof USER_ORDERS> {
  /** The beginning of a name. */
  readonly search: string | null | undefined;
}

/**
 * Returns one page of all users, for staff, or of the users whom the viewer may add to a chat and whose username, first or last name begins with `search`; see
 * {@link readPage} for its other errors.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {AppError} `FORBIDDEN` without `search` or with a filter, unless the viewer is staff
 * @throws {ValidationError} when `search` is too short or too long
 * @throws {OverloadedError} after too many searches by a viewer who is not staff
 */
export async function listUsers(context: Context, { filter, search, order, page }: UserListing): Promise<Page<User>> {
  const viewer = requireUser(context.viewer);
  if (!viewer.isStaff && (search == null || filter != null)) {
    throw new AppError('FORBIDDEN');
  }
  const found = search == null ? {} : { AND: [searchCondition(search)] };
  if (!viewer.isStaff) {
    await limitUserSearch(context, viewer.id);
  }
  const listing = {
    model: 'User',
    where: viewer.isStaff ? visibleUsers(viewer) : invitableUsers(viewer),
    filter: { ...filterCondition(filter, userCondition), ...found },
    columns: USER_ORDERS,
  } as const;
  return readPage(context, listing, page, order);
}

/** Returns the condition of the active users, other than the viewer, whom the viewer may add to a chat. */
function invitableUsers(viewer: UserViewer): Condition<'User'> {
  return { AND: [visibleUsers(viewer), { isActive: true, id: { not: viewer.id } }, addableUsers(viewer)] };
}

function searchCondition(search: string): RowCondition<'User'> {
  const text = search.trim();
  const length = lengthInCharacters(text);
  if (length < MIN_SEARCH || length > MAX_USERNAME) {
    const message = `Enter ${MIN_SEARCH} to ${MAX_USERNAME} characters.`;
    throw new ValidationError([{ path: 'search', message }]);
  }
  const named = formsOf(text).flatMap((form) => [{ firstName: startsWith(form) }, { lastName: startsWith(form) }]);
  return { OR: [{ usernameKey: startsWith(usernameKey(text)) }, ...named] };
}

/** Returns the ways in which a name is usually written; the index of names distinguishes upper and lower case. */
function formsOf(text: string): string[] {
  const lower = text.toLowerCase();
  const [first = '', ...rest] = [...lower];
  return [...new Set([text, lower, text.toUpperCase(), first.toUpperCase() + rest.join('')])];
}
