import { NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { defineOrder, orderOf, pageCost, toConnection } from '../graphql/connection.ts';
import { listUsers, setUserStatus, USER_ORDERS } from './staff.ts';

/** Adds what staff see and change of all users. */
export function defineStaff(builder: Builder): void {
  const filter = builder.inputType('UserFilter', {
    description: 'Narrows a list of users; conditions add up.',
    fields: (t) => ({
      usernameStartsWith: t.string({
        description: 'Only those whose username begins with this text, in any case of letters.',
      }),
      usernameContains: t.string({
        description: 'Only those with this text in their username, in any case of letters.',
      }),
      emailContains: t.string({
        description: 'Only those with this text in their email address, in any case of ASCII letters.',
      }),
      isActive: t.boolean({ description: 'Only those whose account is open, or only the others.' }),
      isStaff: t.boolean({ description: 'Only staff, or only the others.' }),
      createdFrom: t.field({ type: 'DateTime', description: 'Only those made at this instant or later.' }),
      createdBefore: t.field({ type: 'DateTime', description: 'Only those made before this instant.' }),
    }),
  });
  const order = defineOrder(builder, 'User', USER_ORDERS);

  builder.queryField('users', (t) =>
    t.connection(
      {
        type: 'User',
        authScopes: { signedIn: true },
        description: 'All users, for staff; `FORBIDDEN` for everybody else.',
        complexity: pageCost,
        args: {
          filter: t.arg({ type: filter, description: 'Which of them.' }),
          orderBy: t.arg({ type: order, description: 'In which order; by id when left out.' }),
        },
        resolve: (_root, { filter, orderBy, ...page }, context) =>
          toConnection(listUsers(context, filter, orderOf(orderBy), page)),
      },
      { name: 'UserConnection', description: 'A page of users.' },
      { name: 'UserEdge', description: 'A user at their place in a list.' },
    ),
  );

  const status = builder.inputType('SetUserStatusInput', {
    description: 'The status that a user is given; a field that is left out stays.',
    fields: (t) => ({
      userId: t.id({ required: true, description: 'Whose status it is.' }),
      isActive: t.boolean({
        description: 'False ends every session, key and socket of the user at once; what the user wrote stays.',
      }),
      isStaff: t.boolean({
        description:
          'Whether the user sees and changes every row. Subscriptions of the user end with `RESYNC_REQUIRED` when it changes.',
      }),
    }),
  });
  builder.mutationField('setUserStatus', (t) =>
    t.field({
      type: 'User',
      authScopes: { signedIn: true },
      description:
        'Opens or closes the account of another user, or makes them staff or not staff any longer, for staff; `FORBIDDEN` for everybody else. Staff cannot deactivate or demote themselves by it: that is a `ValidationError`. Each change becomes an audit entry.',
      errors: { types: [ValidationError, NotFoundError] },
      args: { input: t.arg({ type: status, required: true, description: 'Whose status, and what it becomes.' }) },
      resolve: (_root, { input }, context) => setUserStatus(context, input),
    }),
  );
}
