import { ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { isViewer } from '../viewer.ts';
import { type AddableBy, type PresenceSetting, updateViewer } from './profile.ts';

/** Defines the fields that users set themselves, and the mutation that changes them. */
export function defineProfile(builder: Builder): void {
  const addableBy = builder.enumType('AddableBy', {
    description:
      'The users who may add a user to a chat by `addChatMembers`. It does not concern `joinChat`, by which users join themselves.',
    values: {
      EVERYBODY: { description: 'Every user may add the user to a chat in which they take part.' },
      CONTACTS: { description: 'Only users who already share a chat with the user may.' },
    } as const,
  });

  builder.objectField('User', 'addableBy', (t) =>
    t.field({
      type: addableBy,
      nullable: true,
      description:
        'The users who may add this user to a chat; `updateViewer` changes it. Null for other viewers than the user.',
      // The column contains no other values.
      resolve: (user, _args, { viewer }) => (isViewer(viewer, user.id) ? (user.addableBy as AddableBy) : null),
    }),
  );

  const presence = builder.enumType('PresenceSetting', {
    description: 'Whether users who share a chat with a user see when the user is online.',
    values: {
      VISIBLE: {
        description:
          'Users who share a chat with the user see it by `User.online`, `User.lastSeen` and `chatPresence`.',
      },
      INVISIBLE: { description: 'Nobody sees it: the two fields are null, and `chatPresence` leaves the user out.' },
    } as const,
  });
  builder.objectField('User', 'presence', (t) =>
    t.field({
      type: presence,
      nullable: true,
      description:
        'Whether users who share a chat with this user see when the user is online; `updateViewer` changes it. Null for other viewers than the user.',
      resolve: (user, _args, { viewer }) => (isViewer(viewer, user.id) ? (user.presence as PresenceSetting) : null),
    }),
  );

  const profile = builder.inputType('UpdateViewerInput', {
    description:
      'The fields of the account of the viewer to change. A field that is left out keeps its value; null is rejected, except for `currentPassword`.',
    fields: (t) => ({
      email: t.string({
        description:
          'The new email address, at most 254 characters; empty to remove it. It need not be unique, and is unverified at first.',
      }),
      firstName: t.string({ description: 'The new first name, at most 150 characters; empty to remove it.' }),
      lastName: t.string({ description: 'The new last name, at most 150 characters; empty to remove it.' }),
      addableBy: t.field({
        type: addableBy,
        description: 'The users who may add the viewer to a chat by `addChatMembers`.',
      }),
      presence: t.field({
        type: presence,
        description:
          'Whether users who share a chat with the viewer see when the viewer is online. It takes effect at once.',
      }),
      currentPassword: t.string({
        description:
          'The current password of the viewer, which confirms the new `email` as the address for reset links (`User.resetEmail`). Without it the email address changes, but reset links still go to the earlier one.',
      }),
    }),
  });
  builder.mutationField('updateViewer', (t) =>
    t.field({
      type: 'User',
      authScopes: { signedIn: true },
      description:
        'Changes the email address, the name and the privacy settings of the viewer. A wrong `currentPassword` is a `ValidationError`, and `RATE_LIMITED` after too many of them within five minutes.',
      errors: { types: [ValidationError] },
      args: { input: t.arg({ type: profile, required: true, description: 'The fields to change.' }) },
      resolve: (_root, { input: { currentPassword, ...input } }, context) =>
        updateViewer(context, input, currentPassword ?? null),
    }),
  );
}
