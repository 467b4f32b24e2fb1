import type { Context } from '../context.ts';
import type { ChatMessage } from '../generated/client/client.ts';
import type { Builder } from '../graphql/builder.ts';
import { LONG_TEXT } from '../graphql/long-texts.ts';
import { selectsNodeField } from '../graphql/look-ahead.ts';
import { nodeOptions } from '../graphql/node.ts';
import { withDatabaseIds } from '../graphql/node-ids.ts';
import { connectionComplexity, defineOrder, toConnection, toOrder } from '../graphql/relay-connection.ts';
import { loadUser, withUsers } from '../identity/named-users.ts';
import { listMentioned } from './mentions.ts';
import { findMessage, listMessages, loadMessage, MESSAGE_ORDERS } from './messages.ts';
import { loadChat } from './service.ts';

/** The number of users that a message usually mentions at most. */
const MENTIONS_COST = { field: 1, multiplier: 5 };

/** Defines the type of chat messages, and their list in a chat. */
export function defineMessages(builder: Builder): void {
  const message = builder.prismaObject('ChatMessage', {
    fields: (t) => ({
      databaseId: t.exposeInt('id'),
      message: t.exposeString('message', { extensions: LONG_TEXT }),
      createdAt: t.expose('createdAt', { type: 'DateTime' }),
      user: t.field({
        type: 'User',
        nullable: true,
        description: 'The user who sent the message.',
        resolve: (message, _args, context) => loadUser(context, message.userId, message),
      }),
      chatSession: t.field({
        type: 'ChatSession',
        nullable: true,
        description: 'The chat that the message was sent to; null when the chat was deleted in the meantime.',
        resolve: ({ chatSessionId }, _args, context) => loadChat(context, chatSessionId),
      }),
      editedAt: t.expose('editedAt', { type: 'DateTime', nullable: true }),
      deletedAt: t.expose('deletedAt', { type: 'DateTime', nullable: true }),
      replyTo: t.field({
        type: 'ChatMessage',
        nullable: true,
        description:
          'The message of the same chat that this one replies to; null when it is not a reply. A message that was deleted since has `deletedAt`.',
        resolve: ({ replyToId, chatSessionId }, _args, context) => loadReplied(context, replyToId, chatSessionId),
      }),
      mentions: t.field({
        type: ['User'],
        complexity: MENTIONS_COST,
        description:
          'The users whom the text mentions by `@` and their username, in the order in which they were first mentioned; empty for a deleted message. Only those count who were participants when the text was written, and not the sender; at most 50. docs/chat.md has the exact rule.',
        resolve: async (message, _args, context) => [...(await listMentioned(context, message))],
      }),
    }),
  });
  builder.nodeRef(message, nodeOptions(findMessage));

  const order = defineOrder(builder, 'ChatMessage', MESSAGE_ORDERS);
  builder.prismaObjectField('ChatSession', 'messages', (t) =>
    t.connection(
      {
        type: message,
        description:
          'The messages of this chat, deleted ones included, page by page. For the latest page first, use `last`.',
        complexity: connectionComplexity,
        args: {
          orderBy: t.arg({ type: order, description: 'The sort order; oldest first when left out.' }),
          around: t.arg.id({
            description:
              'The `id` of a message of this chat: returns the page around it, to show a message that was found or mentioned. Of the `first` messages (20 when left out), half precede it and half follow it, and fewer where the list ends; `hasPreviousPage` and `hasNextPage` say whether there are more on either side. `VALIDATION` together with `after`, `before` or `last`, and when the chat has no such message.',
          }),
        },
        resolve: (chat, { orderBy, ...page }, context, info) => {
          const read = listMessages(context, chat, toOrder(orderBy), withDatabaseIds(page, { around: 'ChatMessage' }));
          return toConnection(selectsNodeField(info, 'user') ? withUsers(context, read, ({ userId }) => userId) : read);
        },
      },
      { name: 'ChatMessageConnection', description: 'A page of the messages of a chat.' },
      { name: 'ChatMessageEdge', description: 'A message of a page, with its cursor.' },
    ),
  );
}

/** Returns the message that a message of a chat replies to. Only a write past this server can make one of another chat, which is then not shown. */
async function loadReplied(context: Context, id: number | null, chatId: number): Promise<ChatMessage | null> {
  const message = id === null ? null : await loadMessage(context, id);
  return message?.chatSessionId === chatId ? message : null;
}
