import type { ChatMessage, ChatSession } from '../generated/client/client.ts';
import { loadUser } from '../identity/named-users.ts';
import { idParameter, legacyModel } from '../legacy-socket/model.ts';
import { messageBody, participantBody } from './bodies.ts';
import { findMessage } from './messages.ts';
import { findChatById, loadChat } from './service.ts';
import { watchChatsById } from './watch.ts';
import { watchMessagesById } from './watch-messages.ts';

/** The models of chats and messages for clients of `/ws/subscribe/`. */
export const chatLegacyModels = [
  legacyModel<ChatSession>({
    name: 'chat.ChatSession',
    source: 'ChatSession',
    parameters: {},
    groups: [],
    watch: watchChatsById,
    find: findChatById,
    load: loadChat,
    instance: async ({ id, uri, ownerId }, context) => {
      const owner = await loadUser(context, ownerId);
      const members = await context.database.chatMember.findMany({
        where: { chatSessionId: id },
        orderBy: { id: 'asc' },
        include: { user: true },
      });
      return owner
        ? {
            id,
            uri,
            owner: participantBody(owner),
            members: [owner, ...members.map(({ user }) => user)].map(participantBody),
          }
        : null;
    },
  }),
  legacyModel<ChatMessage>({
    name: 'chat.ChatSessionMessage',
    source: 'ChatMessage',
    parameters: { chat_session: idParameter('chatSessionId'), chat_session_id: idParameter('chatSessionId') },
    groups: ['chat_session_id'],
    watch: watchMessagesById,
    find: async (context, id) => {
      const message = await findMessage(context, id);
      return message?.deletedAt === null ? message : undefined;
    },
    instance: async ({ id, userId, message }, context) => {
      const user = await loadUser(context, userId);
      return user ? { id, ...messageBody(user, message) } : null;
    },
  }),
];
