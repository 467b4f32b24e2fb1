import type { ChatMessage, ChatSession } from '../generated/client/client.ts';
import { byId, liveModel } from '../rest/live/model.ts';
import { messageBody, participantBody } from './bodies.ts';
import { watchChatsById, watchMessagesById } from './live.ts';
import { findMessage } from './messages.ts';
import { findChatById } from './service.ts';

// Who takes part in a chat sees all of it, so what belongs to a row is read once for all of them, without regard to who asks first.

/** Chats and what is said in them, as clients of `/ws/subscribe/` know them. */
export const chatLiveModels = [
  liveModel<ChatSession>({
    name: 'chat.ChatSession',
    of: 'ChatSession',
    parameters: {},
    groups: [],
    watch: watchChatsById,
    find: findChatById,
    instance: async ({ id, uri, ownerId }, { database }) => {
      const owner = await database.user.findUnique({ where: { id: ownerId } });
      const members = await database.chatMember.findMany({
        where: { chatSessionId: id },
        orderBy: { id: 'asc' },
        include: { user: true },
      });
      return (
        owner && {
          id,
          uri,
          owner: participantBody(owner),
          members: [owner, ...members.map(({ user }) => user)].map(participantBody),
        }
      );
    },
  }),
  liveModel<ChatMessage>({
    name: 'chat.ChatSessionMessage',
    of: 'ChatMessage',
    parameters: { chat_session: byId('chatSessionId'), chat_session_id: byId('chatSessionId') },
    groups: ['chat_session_id'],
    watch: watchMessagesById,
    find: findMessage,
    instance: async ({ id, userId, message }, { database }) => {
      const user = await database.user.findUnique({ where: { id: userId } });
      return user && { id, ...messageBody(user, message) };
    },
  }),
];
