import type { Context } from '../context.ts';
import type { User } from '../generated/client/client.ts';
import type { Builder } from '../graphql/builder.ts';
import { nodeOptions } from '../graphql/node.ts';
import { canSeePrivateFields } from './policy.ts';
import { findUser, findUserById } from './service.ts';

/** Defines the type of users and its queries. */
export function defineUsers(builder: Builder): void {
  const user = builder.prismaObject('User', {
    fields: (t) => ({
      databaseId: t.exposeInt('id'),
      username: t.exposeString('username'),
      firstName: t.exposeString('firstName'),
      lastName: t.exposeString('lastName'),
      email: t.string({
        nullable: true,
        description:
          'The email address, at most 254 characters; empty for none. Null for other viewers than the user and staff.',
        resolve: (user, _args, context) => privately(context, user, user.email),
      }),
      isStaff: t.boolean({
        nullable: true,
        description:
          'Whether the user is staff, who see and change all objects outside chats. Null for other viewers than the user and staff.',
        resolve: (user, _args, context) => privately(context, user, user.isStaff),
      }),
      isActive: t.boolean({
        nullable: true,
        description:
          'Whether the account is active: a deactivated user cannot sign in. Null for other viewers than the user and staff.',
        resolve: (user, _args, context) => privately(context, user, user.isActive),
      }),
      createdAt: t.field({
        type: 'DateTime',
        nullable: true,
        description: 'When the account was created. Null for other viewers than the user and staff.',
        resolve: (user, _args, context) => privately(context, user, user.createdAt),
      }),
    }),
  });
  builder.nodeRef(user, nodeOptions(findUserById));

  builder.queryFields((t) => ({
    viewer: t.field({
      type: user,
      nullable: true,
      description:
        'The user as whom the request is authenticated (the viewer); null without a credential. Use it to restore a session when an application starts.',
      resolve: (_root, _args, context) =>
        context.viewer.kind === 'user' ? findUserById(context, context.viewer.id) : null,
    }),
    user: t.field({
      type: user,
      nullable: true,
      authScopes: { signedIn: true },
      description:
        'A user by username, such as to add them to a chat; null when nobody has that name. `UNAUTHENTICATED` without a credential.',
      args: {
        username: t.arg.string({ required: true, description: 'The username, upper and lower case being equal.' }),
      },
      resolve: (_root, { username }, context) => findUser(context, username),
    }),
  }));
}

function privately<Value>({ viewer }: Context, user: User, value: Value): Value | null {
  return canSeePrivateFields(viewer, user) ? value : null;
}
