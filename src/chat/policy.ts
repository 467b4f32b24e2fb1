import type { Condition } from '../database/condition.ts';
import { isViewer, type Viewer } from '../viewer.ts';

/** Returns the policy of chats: the viewer may see those in which they participate, as owner or member, with their members and messages. Staff may see no others. */
export function visibleChats(viewer: Viewer): Condition<'ChatSession'> {
  return viewer.kind === 'user'
    ? { OR: [{ ownerId: viewer.id }, { members: { some: { userId: viewer.id } } }] }
    : { id: { in: [] } };
}

/** Returns the condition of the chats that a viewer with their uri may join: all but those from which the viewer was removed. */
export function joinableChats(viewer: Viewer): Condition<'ChatSession'> {
  return viewer.kind === 'user'
    ? { OR: [visibleChats(viewer), { NOT: { removals: { some: { userId: viewer.id } } } }] }
    : { id: { in: [] } };
}

/** Returns the policy of messages: the viewer may see those of the chats that they may see. */
export function visibleMessages(viewer: Viewer): Condition<'ChatMessage'> {
  return { chatSession: visibleChats(viewer) };
}

/** Returns the condition of the users whom the viewer may add to a chat: those who let everybody add them, and those who share a chat with the viewer. */
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

/** Returns whether the viewer may remove members of the chat, renew its uri and change its title: only its owner may. */
export function canManageChat(viewer: Viewer, chat: { readonly ownerId: number }): boolean {
  return isViewer(viewer, chat.ownerId);
}

/** Returns whether the viewer may change the text of the message: only its sender may. */
export function canEditMessage(viewer: Viewer, message: { readonly userId: number }): boolean {
  return isViewer(viewer, message.userId);
}

/** Returns whether the viewer may delete the message: its sender and the owner of its chat may. */
export function canDeleteMessage(
  viewer: Viewer,
  message: { readonly userId: number },
  chat: { readonly ownerId: number },
): boolean {
  return isViewer(viewer, message.userId) || canManageChat(viewer, chat);
}
