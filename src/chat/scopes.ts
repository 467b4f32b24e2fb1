import { scopeName } from '../changes/scopes.ts';

/** The prefix of the scopes of chats, and the name of their memberships. */
export const CHAT = 'chat';

/** Returns the scope of the rows that belong to a chat. */
export function chatScope(chatId: number): string {
  return scopeName(CHAT, chatId);
}
