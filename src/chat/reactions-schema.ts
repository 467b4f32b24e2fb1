import { ConflictError, NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { IDEMPOTENCY_KEY, idempotentReadAgain } from '../graphql/idempotent-mutation.ts';
import { toDatabaseId } from '../graphql/node-ids.ts';
import { MESSAGE_ID } from './message-mutations-schema.ts';
import { requireMessage } from './messages.ts';
import {
  addReaction,
  hasReacted,
  listReactingUsers,
  listReactions,
  type ReactionGroup,
  removeReaction,
} from './reactions.ts';

/** The number of different emojis that a message usually has at most. */
const REACTIONS_COST = { field: 1, multiplier: 5 };
const DEFAULT_USERS = 10;

/** Defines the reactions to messages, and the mutations that add and remove them. */
export function defineReactions(builder: Builder): void {
  const group = builder.objectRef<ReactionGroup>('ChatReactionGroup').implement({
    description: 'The reactions to a message with one emoji.',
    fields: (t) => ({
      emoji: t.exposeString('emoji', { description: 'The emoji, in its fully-qualified form, like `👍` or `❤️`.' }),
      count: t.int({
        description: 'How many users reacted with it.',
        resolve: ({ userIds }) => userIds.length,
      }),
      viewerReacted: t.boolean({
        description:
          'Whether the viewer is among them, to show whether the next click adds the reaction or removes it.',
        resolve: (reactions, _args, context) => hasReacted(context, reactions),
      }),
      users: t.field({
        type: ['User'],
        description: 'The first users who reacted with it, in the order in which they did.',
        complexity: ({ first }) => ({ field: 1, multiplier: Math.max(first ?? DEFAULT_USERS, 1) }),
        args: {
          first: t.arg.int({
            required: true,
            defaultValue: DEFAULT_USERS,
            description: 'The largest number of users, 0 to 100; `VALIDATION` otherwise.',
          }),
        },
        resolve: async (reactions, { first }, context) => [...(await listReactingUsers(context, reactions, first))],
      }),
    }),
  });

  builder.prismaObjectField('ChatMessage', 'reactions', (t) =>
    t.field({
      type: [group],
      complexity: REACTIONS_COST,
      description:
        'The reactions of users to the message, by emoji in the order of their first use; empty for a deleted message. A message has at most 20 different emojis and 2000 reactions. Whoever adds or removes one causes an UPDATED event of `chatMessageChanged`.',
      resolve: async (message, _args, context) => [...(await listReactions(context, message))],
    }),
  );

  const emoji = {
    required: true,
    description: 'One emoji that Unicode recommends for interchange (RGI), with its skin tone and the like.',
  } as const;
  builder.mutationFields((t) => ({
    addReaction: t.field({
      type: 'ChatMessage',
      authScopes: { signedIn: true },
      description:
        'Adds a reaction of the viewer to a message of a chat in which the viewer participates; it changes nothing when the viewer has reacted with that emoji already. `ConflictError` for a deleted message, for more than 10 reactions of the viewer to the message, and beyond the limits of `ChatMessage.reactions`. With the `idempotencyKey` of an earlier call it returns the message as it is now, and `NotFoundError` when the viewer has left the chat.',
      errors: { types: [ValidationError, NotFoundError, ConflictError] },
      args: {
        messageId: t.arg.id(MESSAGE_ID),
        emoji: t.arg.string(emoji),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: idempotentReadAgain(
        'addReaction',
        (context, { messageId, emoji }) => addReaction(context, toDatabaseId('ChatMessage', messageId), emoji),
        (context, { id }) => requireMessage(context, id),
      ),
    }),
    removeReaction: t.field({
      type: 'ChatMessage',
      authScopes: { signedIn: true },
      description:
        'Removes a reaction of the viewer from a message; it changes nothing when the viewer has not reacted with that emoji. `ConflictError` for a deleted message.',
      errors: { types: [ValidationError, NotFoundError, ConflictError] },
      args: { messageId: t.arg.id(MESSAGE_ID), emoji: t.arg.string(emoji) },
      resolve: (_root, { messageId, emoji }, context) =>
        removeReaction(context, toDatabaseId('ChatMessage', messageId), emoji),
    }),
  }));
}
