import { NotFoundError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { encodeNodeId, toDatabaseId } from '../graphql/node-ids.ts';
import { loadUser } from '../identity/named-users.ts';
import {
  countUnread,
  countUnreadMentions,
  findLastMessage,
  findOwnReadMark,
  listReaders,
  listReadMarks,
  markRead,
} from './read-marks.ts';
import { CHAT_URI } from './schema.ts';

const PARTICIPANTS_COST = { field: 1, multiplier: 20 };
/** The count reads up to a thousand messages. */
const COUNT_COST = 5;

/** Defines the read marks of chats, what follows from them, and the mutation that moves the mark of the viewer. */
export function defineReadMarks(builder: Builder): void {
  const mark = builder.prismaObject('ChatReadMark', {
    fields: (t) => ({
      messageId: t.id({
        description:
          'The `id` of the newest message that the user has read: they have read all messages of the chat up to it. The message itself may have been deleted since.',
        resolve: ({ messageId }) => encodeNodeId('ChatMessage', messageId),
      }),
      updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
      user: t.field({
        type: 'User',
        nullable: true,
        description: 'The participant whose mark it is.',
        resolve: (mark, _args, context) => loadUser(context, mark.userId, mark),
      }),
    }),
  });

  builder.prismaObjectFields('ChatSession', (t) => ({
    lastMessage: t.field({
      type: 'ChatMessage',
      nullable: true,
      description:
        'The newest message of the chat, for a list of chats, also when it was deleted; null when it has none.',
      resolve: (chat, _args, context) => findLastMessage(context, chat),
    }),
    unreadCount: t.int({
      complexity: COUNT_COST,
      description:
        'How many messages other participants have sent after the read mark of the viewer or, without one, since the viewer joined. Deleted messages do not count, and only the newest 1000 messages of the chat are looked at, so that it is at most 1000: show that as "999+". The value differs between viewers: in a subscription it makes the server execute the event for each of them.',
      resolve: (chat, _args, context) => countUnread(context, chat),
    }),
    unreadMentions: t.int({
      complexity: COUNT_COST,
      description:
        'How many messages mention the viewer by `@` and their username, after the same mark as `unreadCount`; at most 1000. The value differs between viewers, too.',
      resolve: (chat, _args, context) => countUnreadMentions(context, chat),
    }),
    viewerReadMark: t.field({
      type: mark,
      nullable: true,
      description:
        'The read mark of the viewer, after which to draw a line of new messages; null before the first `markRead`.',
      resolve: (chat, _args, context) => findOwnReadMark(context, chat),
    }),
    readMarks: t.field({
      type: [mark],
      complexity: PARTICIPANTS_COST,
      description:
        'How far each participant has read, in the order in which they first did; at most 1001. Participants who have not read anything yet have no mark. To show the readers of many messages, select this once in place of `ChatMessage.readBy` for each of them.',
      resolve: async (chat, _args, context) => [...(await listReadMarks(context, chat.id))],
    }),
  }));
  builder.prismaObjectField('ChatMessage', 'readBy', (t) =>
    t.field({
      type: ['User'],
      complexity: PARTICIPANTS_COST,
      description:
        'The participants whose read mark is at this message or after it, in the order in which they first read in the chat; at most 1001. The author is among them only after `markRead`.',
      resolve: async (message, _args, context) => [...(await listReaders(context, message))],
    }),
  );

  builder.mutationField('markRead', (t) =>
    t.field({
      type: 'ChatSession',
      authScopes: { signedIn: true },
      description:
        'Marks a chat as read by the viewer up to a message, and returns the chat with its new `unreadCount`. The mark never moves back: marking an older message changes nothing. The other participants, and other devices of the viewer, receive an `InboxReadChange`. `NotFoundError` for a chat in which the viewer does not take part, and for a message of another chat.',
      errors: { types: [NotFoundError] },
      args: {
        uri: t.arg.string(CHAT_URI),
        upTo: t.arg.id({ required: true, description: 'The `id` of the newest message that the viewer has read.' }),
      },
      resolve: (_root, { uri, upTo }, context) => markRead(context, uri, toDatabaseId('ChatMessage', upTo)),
    }),
  );
}
