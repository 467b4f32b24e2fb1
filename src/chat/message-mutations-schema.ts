import { ConflictError, NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { IDEMPOTENCY_KEY, idempotentReadAgain } from '../graphql/idempotent-mutation.ts';
import { toDatabaseId } from '../graphql/node-ids.ts';
import { deleteMessage, requireMessage, sendMessage, updateMessage } from './messages.ts';

/** The argument that identifies a message. */
export const MESSAGE_ID = { required: true, description: 'The `id` of the message.' } as const;

const MENTIONS = 'An `@` with the username of a participant mentions that user; see `ChatMessage.mentions`.';

/** Defines the mutations that send, edit and delete messages. */
export function defineMessageMutations(builder: Builder): void {
  builder.mutationFields((t) => ({
    sendMessage: t.field({
      type: 'ChatMessage',
      authScopes: { signedIn: true },
      description: `Sends a message to a chat of which the viewer is the owner or a member, and ends the typing signal of the viewer there. ${MENTIONS} \`NotFoundError\` for any other chat; \`ValidationError\` also when \`replyTo\` is not a message of the chat or was deleted. With the \`idempotencyKey\` of an earlier call it returns the message as it is now, and \`NotFoundError\` when the viewer has left the chat.`,
      errors: { types: [ValidationError, NotFoundError] },
      args: {
        uri: t.arg.string({ required: true, description: 'The `uri` of the chat: 15 hexadecimal digits.' }),
        message: t.arg.string({
          required: true,
          description: 'The text of the message, 1 to 2000 characters; white space and line breaks are kept.',
        }),
        replyTo: t.arg.id({
          description: 'The `id` of the message of the same chat that this one replies to; left out or null for none.',
        }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: idempotentReadAgain(
        'sendMessage',
        (context, { uri, message, replyTo }) =>
          sendMessage(context, uri, message, replyTo == null ? null : toDatabaseId('ChatMessage', replyTo)),
        (context, { id }) => requireMessage(context, id),
      ),
    }),
    updateMessage: t.field({
      type: 'ChatMessage',
      authScopes: { signedIn: true },
      description: `Changes the text of a message that the viewer sent, and sets \`editedAt\`; the same text again changes nothing. ${MENTIONS} \`FORBIDDEN\` for the messages of others, \`ConflictError\` when the message was deleted.`,
      errors: { types: [ValidationError, NotFoundError, ConflictError] },
      args: {
        id: t.arg.id(MESSAGE_ID),
        message: t.arg.string({ required: true, description: 'The new text, 1 to 2000 characters.' }),
      },
      resolve: (_root, { id, message }, context) => updateMessage(context, toDatabaseId('ChatMessage', id), message),
    }),
    deleteMessage: t.field({
      type: 'ChatMessage',
      authScopes: { signedIn: true },
      description:
        'Deletes a message that the viewer sent, or any message of a chat that the viewer owns. It keeps its place in the list, with `deletedAt` and without its text, reactions and mentions, and is returned like that; the REST paths and older sockets leave it out. Deleting it again changes nothing. `FORBIDDEN` for other messages.',
      errors: { types: [NotFoundError] },
      args: { id: t.arg.id(MESSAGE_ID) },
      resolve: (_root, { id }, context) => deleteMessage(context, toDatabaseId('ChatMessage', id)),
    }),
  }));
}
