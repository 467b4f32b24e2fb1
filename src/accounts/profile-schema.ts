import { ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { isViewer } from '../viewer.ts';
import { type AddableBy, updateViewer } from './profile.ts';

/** Adds what users decide about themselves, and the mutation that changes it. */
export function defineProfile(builder: Builder): void {
  const addableBy = builder.enumType('AddableBy', {
    description: 'Who may add a user to a chat by `addChatMembers`. Joining by a uri is up to the user alone.',
    values: {
      EVERYBODY: { description: 'The owner and the members of any chat.' },
      CONTACTS: { description: 'Those of them who share a chat with the user at that moment.' },
    } as const,
  });

  builder.objectField('User', 'addableBy', (t) =>
    t.field({
      type: addableBy,
      nullable: true,
      description: 'Who may add the user to a chat; null for everybody but the user. It is changed by `updateViewer`.',
      // The database holds no other values.
      resolve: (user, _args, { viewer }) => (isViewer(viewer, user.id) ? (user.addableBy as AddableBy) : null),
    }),
  );

  const profile = builder.inputType('UpdateViewerInput', {
    description: 'The profile of the viewer, and who may add them to chats; a field that is left out stays.',
    fields: (t) => ({
      email: t.string({ description: 'At most 254 characters; empty to remove it.' }),
      firstName: t.string({ description: 'At most 150 characters; empty to remove it.' }),
      lastName: t.string({ description: 'At most 150 characters; empty to remove it.' }),
      addableBy: t.field({ type: addableBy, description: 'Who may add the viewer to a chat.' }),
      currentPassword: t.string({
        description:
          'With a new email address: has links to reset the password go there from now on. Without it they go where they went before.',
      }),
    }),
  });
  builder.mutationField('updateViewer', (t) =>
    t.field({
      type: 'User',
      authScopes: { signedIn: true },
      description: 'Changes the profile of the viewer, and who may add them to chats.',
      errors: { types: [ValidationError] },
      args: { input: t.arg({ type: profile, required: true, description: 'What changes.' }) },
      resolve: (_root, { input: { currentPassword, ...input } }, context) =>
        updateViewer(context, input, currentPassword ?? null),
    }),
  );
}
