import { scopeOfUser } from '../identity/scopes.ts';
import type { Slice } from '../slice.ts';
import { startBroker } from './broker/broker.ts';
import { defineInbox } from './inbox-schema.ts';
import { chatLegacyModels } from './legacy-socket.ts';
import { defineMessageMutations } from './message-mutations-schema.ts';
import { defineMessages } from './messages-schema.ts';
import { defineChatMutations } from './mutations-schema.ts';
import { presenceOf } from './presence.ts';
import { definePresence } from './presence-schema.ts';
import { defineReactions } from './reactions-schema.ts';
import { defineReadMarks } from './read-marks-schema.ts';
import { CHAT_RESOURCES } from './rest.ts';
import { defineChats } from './schema.ts';
import { CHAT } from './scopes.ts';
import { messageSearch } from './search.ts';
import { registerChatSocket } from './socket.ts';
import { defineChatSubscriptions } from './subscriptions.ts';

const scopeOfChat = (column: string) => ({ prefix: CHAT, column });

/** Chats with their members and messages, and their connection with RabbitMQ. */
export const chat: Slice = {
  models: {
    ChatSession: {
      scope: scopeOfChat('id'),
      otherScope: scopeOfUser('ownerId'),
      unfiltered: ['title'],
      decidesAccess: true,
    },
    ChatMember: {
      scope: scopeOfChat('chatSessionId'),
      otherScope: scopeOfUser('userId'),
      identity: ['id', 'chatSessionId', 'userId'],
      decidesAccess: true,
    },
    ChatMessage: { scope: scopeOfChat('chatSessionId'), unfiltered: ['message', 'replyToId', 'editedAt'] },
    // An event contains the present reactions of the message, so the log need not say who reacted with what.
    ChatReaction: {
      scope: scopeOfChat('chatSessionId'),
      columns: ['id', 'messageId', 'chatSessionId'],
      alsoUpdatedBy: ['emoji', 'userId'],
      identity: ['id', 'messageId', 'chatSessionId'],
    },
    // Written in one transaction with the message, whose event includes them.
    ChatMention: null,
    ChatReadMark: { scope: scopeOfChat('chatSessionId') },
    ChatRemoval: null,
    InboundMessage: null,
  },
  memberships: [
    {
      prefix: CHAT,
      sources: [
        { model: 'ChatSession', group: 'id', user: 'ownerId' },
        { model: 'ChatMember', group: 'chatSessionId', user: 'userId' },
      ],
    },
  ],
  search: [messageSearch],
  schema: [
    defineChats,
    defineChatMutations,
    defineMessages,
    defineMessageMutations,
    defineReactions,
    defineReadMarks,
    defineChatSubscriptions,
    defineInbox,
    definePresence,
  ],
  rest: () => CHAT_RESOURCES,
  legacyModels: chatLegacyModels,
  mountSockets: registerChatSocket,
  start: async ({ config, ...server }) => {
    const stopPresence = await presenceOf(server.services).peers.start();
    const stopBroker = config.broker ? await startBroker({ ...config.broker, ...server }) : async () => undefined;
    return async () => {
      stopPresence();
      await stopBroker();
    };
  },
};
