import { ConflictError, NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { IDEMPOTENCY_KEY, idempotent } from '../graphql/idempotent-mutation.ts';
import { encodeNodeId } from '../graphql/node-ids.ts';
import { addChatMembers, joinChat, leaveChat, removeChatMember } from './members.ts';
import { CHAT_URI } from './schema.ts';
import { type ChatDetails, createChat, renewChatUri, updateChat } from './service.ts';

const TITLE = 'The title, 1 to 100 characters, without white space around it.';

/** Defines the mutations of chats and their members. */
export function defineChatMutations(builder: Builder): void {
  const left = builder.objectRef<{ readonly id: number; readonly uri: string }>('LeftChat').implement({
    description: 'The chat that `leaveChat` left. The viewer may no longer read it, so it has no other fields.',
    fields: (t) => ({
      id: t.id({
        description: 'The `id` of the chat, to remove it from client caches.',
        resolve: ({ id }) => encodeNodeId('ChatSession', id),
      }),
      uri: t.exposeString('uri', { description: 'The `uri` of the chat, by which the viewer can join it again.' }),
    }),
  });

  builder.mutationFields((t) => ({
    createChatSession: t.field({
      type: 'ChatSession',
      authScopes: { signedIn: true },
      description:
        'Creates a chat that the viewer owns. Its `uri` is the invitation: every signed-in user who has it can join by `joinChat`. `VALIDATION` when the title is not valid.',
      args: {
        title: t.arg.string({ description: TITLE }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: idempotent('createChatSession', (context, { title }) => createChat(context, titled(title))),
    }),
    updateChat: t.field({
      type: 'ChatSession',
      authScopes: { signedIn: true },
      description:
        'Changes the title of a chat that the viewer owns. The participants receive an UPDATED event of `chatSessionChanged`. `FORBIDDEN` for members who are not the owner.',
      errors: { types: [ValidationError, NotFoundError] },
      args: {
        uri: t.arg.string(CHAT_URI),
        title: t.arg.string({ description: `${TITLE} Null removes the title; left out, it stays.` }),
      },
      resolve: (_root, { uri, title }, context) => updateChat(context, uri, titled(title)),
    }),
    renewChatUri: t.field({
      type: 'ChatSession',
      authScopes: { signedIn: true },
      description:
        'Replaces the `uri` of a chat of the viewer by a new random one, so that the old one invites nobody any more; it is invalid everywhere at once. The participants stay: they receive an UPDATED event of `chatSessionChanged` with the new `uri`, and their open subscriptions continue. For new subscriptions they use the new `uri`. `FORBIDDEN` for members who are not the owner.',
      errors: { types: [NotFoundError] },
      args: {
        uri: t.arg.string({ required: true, description: 'The current `uri` of the chat.' }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: idempotent('renewChatUri', (context, { uri }) => renewChatUri(context, uri)),
    }),
    joinChat: t.field({
      type: 'ChatSession',
      authScopes: { signedIn: true },
      description:
        'Makes the viewer a member of the chat with this `uri`; for a participant it changes nothing. `NotFoundError` also when the owner has removed the viewer, `ConflictError` when the chat has 1000 members.',
      errors: { types: [NotFoundError, ConflictError] },
      args: { uri: t.arg.string(CHAT_URI) },
      resolve: (_root, { uri }, context) => joinChat(context, uri),
    }),
    addChatMembers: t.field({
      type: 'ChatSession',
      authScopes: { signedIn: true },
      description:
        'Makes other users members of a chat of which the viewer is the owner or a member; either all of them or, after an error, none. `ValidationError` names the users who do not exist, are deactivated or may not be added by the viewer (see `User.addableBy`); `ConflictError` when the chat would have more than 1000 members. Users who had been removed may join again.',
      errors: { types: [ValidationError, NotFoundError, ConflictError] },
      args: {
        uri: t.arg.string(CHAT_URI),
        usernames: t.arg.stringList({
          required: true,
          description: 'The usernames of the users to add, upper and lower case being equal; at most 100.',
        }),
      },
      resolve: (_root, { uri, usernames }, context) => addChatMembers(context, uri, usernames),
    }),
    removeChatMember: t.field({
      type: 'ChatSession',
      authScopes: { signedIn: true },
      description:
        'Removes a user from a chat of the viewer and keeps them from joining again until a participant adds them by `addChatMembers`. Members may remove only themselves, which is the same as `leaveChat`; `FORBIDDEN` otherwise. `ConflictError` for the owner, who cannot leave.',
      errors: { types: [NotFoundError, ConflictError] },
      args: {
        uri: t.arg.string(CHAT_URI),
        username: t.arg.string({
          required: true,
          description:
            'The username, upper and lower case being equal. A user who is not a member is kept from joining.',
        }),
      },
      resolve: (_root, { uri, username }, context) => removeChatMember(context, uri, username),
    }),
    leaveChat: t.field({
      type: left,
      authScopes: { signedIn: true },
      description:
        'Ends the membership of the viewer, who may join again later. `ConflictError` for the owner, who cannot leave.',
      errors: { types: [NotFoundError, ConflictError] },
      args: { uri: t.arg.string(CHAT_URI) },
      resolve: (_root, { uri }, context) => leaveChat(context, uri),
    }),
  }));
}

/** Returns the details of a chat without a title that was left out. */
function titled(title: string | null | undefined): ChatDetails {
  return title === undefined ? {} : { title };
}
