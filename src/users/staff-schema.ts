import { NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { defineFilter, toListFilter } from '../graphql/list-filters.ts';
import { withDatabaseIds } from '../graphql/node-ids.ts';
import { connectionComplexity, defineOrder, toConnection, toOrder } from '../graphql/relay-connection.ts';
import { setUserStatus, USER_ORDERS, type UserFilter } from './staff.ts';
import { listUsers } from './user-list.ts';

const BY_USERNAME = { column: 'username', direction: 'asc' } as const;

/** Defines the list of users and the mutation of their status, for staff. */
export function defineStaff(builder: Builder): void {
  const filter = defineFilter<UserFilter>(builder, 'User', 'users', (t) => ({
    usernameStartsWith: t.string({
      description:
        'Only users whose username begins with this text of at most 150 characters, upper and lower case being equal. It is faster than `usernameContains`.',
    }),
    usernameContains: t.string({
      description:
        'Only users whose username contains this text of at most 150 characters, upper and lower case being equal.',
    }),
    emailContains: t.string({
      description:
        'Only users whose email address contains this text of at most 254 characters; upper and lower case ASCII letters are equal.',
    }),
    isActive: t.boolean({ description: 'True for active users only, false for deactivated ones only.' }),
    isStaff: t.boolean({ description: 'True for staff only, false for other users only.' }),
    createdFrom: t.field({ type: 'DateTime', description: 'Only accounts created at this time or later.' }),
    createdBefore: t.field({ type: 'DateTime', description: 'Only accounts created before this time.' }),
  }));
  const order = defineOrder(builder, 'User', USER_ORDERS);

  builder.queryField('users', (t) =>
    t.connection(
      {
        type: 'User',
        authScopes: { signedIn: true },
        description:
          'Users, page by page. Staff list all of them. Other users pass `search` and no `filter`, `FORBIDDEN` otherwise: they find the active users whom they may add to a chat (see `User.addableBy`), themselves excluded. `UNAUTHENTICATED` without a credential, `VALIDATION` for a `search` of less than 2 or more than 150 characters, `RATE_LIMITED` after too many searches within five minutes.',
        complexity: connectionComplexity,
        args: {
          search: t.arg.string({
            description:
              'Only users whose username, first name or last name begins with this text of 2 to 150 characters, such as what has been typed so far to invite somebody. Usernames are compared without regard to case; names as they are typed, in lower case, in upper case and capitalized.',
          }),
          filter: t.arg({ type: filter, description: 'Returns only the users that meet these conditions.' }),
          orderBy: t.arg({
            type: order,
            description:
              'The sort order; when left out, by `USERNAME` for a `search`, otherwise by `id`, oldest first.',
          }),
        },
        resolve: (_root, { search, filter, orderBy, ...page }, context) => {
          const order = search != null && !orderBy ? BY_USERNAME : toOrder(orderBy);
          return toConnection(listUsers(context, { filter: toListFilter(filter, 'User'), search, order, page }));
        },
      },
      { name: 'UserConnection', description: 'A page of a list of users.' },
      { name: 'UserEdge', description: 'A user of a page, with its cursor.' },
    ),
  );

  const status = builder.inputType('SetUserStatusInput', {
    description: 'The status of a user to change. A field that is left out keeps its value; null is rejected.',
    fields: (t) => ({
      userId: t.id({ required: true, description: 'The `id` of the user.' }),
      isActive: t.boolean({
        description:
          'False deactivates the account and ends its sessions, API keys and sockets at once; the objects of the user stay. True activates it again.',
      }),
      isStaff: t.boolean({
        description:
          'Whether the user is staff, who see and change all objects outside chats. Open subscriptions of the user end with `RESYNC_REQUIRED` when it changes.',
      }),
    }),
  });
  builder.mutationField('setUserStatus', (t) =>
    t.field({
      type: 'User',
      authScopes: { signedIn: true },
      description:
        'Activates, deactivates, promotes or demotes another user, for staff; `FORBIDDEN` for other users. A `ValidationError` when staff would deactivate or demote themselves. Each change is recorded as an audit entry.',
      errors: { types: [ValidationError, NotFoundError] },
      args: { input: t.arg({ type: status, required: true, description: 'The user, and the new status.' }) },
      resolve: (_root, { input }, context) => setUserStatus(context, withDatabaseIds(input, { userId: 'User' })),
    }),
  );
}
