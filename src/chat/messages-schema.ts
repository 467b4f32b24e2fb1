import { NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { IDEMPOTENCY_KEY, idempotent } from '../graphql/idempotent-mutation.ts';
import { LONG_TEXT } from '../graphql/long-texts.ts';
import { selectsNodeField } from '../graphql/look-ahead.ts';
import { nodeOptions } from '../graphql/node.ts';
import { connectionComplexity, defineOrder, toConnection, toOrder } from '../graphql/relay-connection.ts';
import { loadUser, withUsers } from '../identity/named-users.ts';
import { findMessage, listMessages, MESSAGE_ORDERS, sendMessage } from './messages.ts';
import { loadChat } from './service.ts';

/** Defines the type of chat messages, their list in a chat, and the mutation that sends one. */
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
    }),
  });
  builder.nodeRef(message, nodeOptions(findMessage));

  const order = defineOrder(builder, 'ChatMessage', MESSAGE_ORDERS);
  builder.prismaObjectField('ChatSession', 'messages', (t) =>
    t.connection(
      {
        type: message,
        description: 'The messages of this chat, page by page. For the latest page first, use `last`.',
        complexity: connectionComplexity,
        args: { orderBy: t.arg({ type: order, description: 'The sort order; oldest first when left out.' }) },
        resolve: (chat, { orderBy, ...page }, context, info) => {
          const read = listMessages(context, chat, toOrder(orderBy), page);
          return toConnection(selectsNodeField(info, 'user') ? withUsers(context, read, ({ userId }) => userId) : read);
        },
      },
      { name: 'ChatMessageConnection', description: 'A page of the messages of a chat.' },
      { name: 'ChatMessageEdge', description: 'A message of a page, with its cursor.' },
    ),
  );

  builder.mutationField('sendMessage', (t) =>
    t.field({
      type: message,
      authScopes: { signedIn: true },
      description:
        'Sends a message to a chat of which the viewer is the owner or a member, and ends the typing signal of the viewer there. `NotFoundError` for any other chat.',
      errors: { types: [ValidationError, NotFoundError] },
      args: {
        uri: t.arg.string({ required: true, description: 'The `uri` of the chat: 15 hexadecimal digits.' }),
        message: t.arg.string({
          required: true,
          description: 'The text of the message, 1 to 2000 characters; white space and line breaks are kept.',
        }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: idempotent('sendMessage', (context, { uri, message }) => sendMessage(context, uri, message)),
    }),
  );
}
