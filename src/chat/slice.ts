import { scopeOfUser } from '../accounts/scopes.ts';
import { scopeName } from '../changes/scopes.ts';
import type { Slice } from '../slice.ts';

/** The prefix of the scopes of chats, and the name of their memberships. */
export const CHAT = 'chat';

/** The scope of everything that belongs to a chat. */
export function chatScope(chatId: number): string {
  return scopeName(CHAT, chatId);
}

const scopeOfChat = (column: string) => ({ prefix: CHAT, column });

export const chat: Slice = {
  log: {
    ChatSession: { scope: scopeOfChat('id'), otherScope: scopeOfUser('ownerId'), decidesAccess: true },
    ChatMember: {
      scope: scopeOfChat('chatSessionId'),
      otherScope: scopeOfUser('userId'),
      identity: ['id', 'chatSessionId', 'userId'],
      decidesAccess: true,
    },
    ChatMessage: { scope: scopeOfChat('chatSessionId'), unfiltered: ['message'] },
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
};
