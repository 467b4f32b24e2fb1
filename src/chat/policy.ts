import type { Condition } from '../database/condition.ts';
import { isViewer, type Viewer } from '../viewer.ts';

/** The chats that the viewer takes part in, as owner or member: those whose members and messages they see. Staff have no key to others. */
export function visibleChats(viewer: Viewer): Condition<'ChatSession'> {
  return viewer.kind === 'user'
    ? { OR: [{ ownerId: viewer.id }, { members: { some: { userId: viewer.id } } }] }
    : { id: { in: [] } };
}

/** The messages that the viewer sees: those of the chats that they see. */
export function visibleMessages(viewer: Viewer): Condition<'ChatMessage'> {
  return { chatSession: visibleChats(viewer) };
}

/** Whether the viewer may take another user out of the chat: its owner may. */
export function canRemoveMembers(viewer: Viewer, chat: { readonly ownerId: number }): boolean {
  return isViewer(viewer, chat.ownerId);
}
