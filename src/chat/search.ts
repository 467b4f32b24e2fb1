import { findIds } from '../database/rows.ts';
import { MAX_SCOPES, searchSource } from '../search-index/source.ts';
import { visibleChats, visibleMessages } from './policy.ts';
import { CHAT, chatScope } from './scopes.ts';

/** How messages are searched: those of the chats of the viewer that were created last. */
export const messageSearch = searchSource({
  model: 'ChatMessage',
  code: 4,
  text: 'message',
  time: 'createdAt',
  scope: { prefix: CHAT, column: 'chatSessionId' },
  isSeenWhole: false,
  scopesOf: async ({ database, viewer }) => {
    const chats = await findIds(database, 'ChatSession', {
      where: visibleChats(viewer),
      orderBy: [{ id: 'desc' }],
      take: MAX_SCOPES,
    });
    return chats.map(chatScope);
  },
  visible: visibleMessages,
});
