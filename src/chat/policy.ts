import type { Condition } from '../database/condition.ts';
import { isViewer, type Viewer } from '../viewer.ts';

/** The chats that the viewer takes part in, as owner or member: those whose members and messages they see. Staff have no key to others. */
export function visibleChats(viewer: Viewer): Condition<'ChatSession'> {
  return viewer.kind === 'user'
    ? { OR: [{ ownerId: viewer.id }, { members: { some: { userId: viewer.id } } }] }
    : { id: { in: [] } };
}

/** The chats that a viewer who holds their uri may know of, and join: all but those that they were removed from. */
export function joinableChats(viewer: Viewer): Condition<'ChatSession'> {
  return viewer.kind === 'user'
    ? { OR: [visibleChats(viewer), { NOT: { removals: { some: { userId: viewer.id } } } }] }
    : { id: { in: [] } };
}

/** The messages that the viewer sees: those of the chats that they see. */
export function visibleMessages(viewer: Viewer): Condition<'ChatMessage'> {
  return { chatSession: visibleChats(viewer) };
}

/** The users whom the viewer may add to a chat: those who let everybody, and those with whom the viewer shares a chat at present. */
export function addableUsers(viewer: Viewer): Condition<'User'> {
  const shared = visibleChats(viewer);
  return {
    OR: [
      { addableBy: 'EVERYBODY' },
      { ownedChats: { some: shared } },
      { chatMemberships: { some: { chatSession: shared } } },
    ],
  };
}

/** Whether the viewer may take other users out of the chat and renew its uri: its owner may. */
export function canManageChat(viewer: Viewer, chat: { readonly ownerId: number }): boolean {
  return isViewer(viewer, chat.ownerId);
}
