import type { RowChange, RowImage } from '../changes/change.ts';
import type { ChangeEvent, EventAction, Interest, SubscriptionFilter } from '../changes/filter.ts';
import type { MembershipSet } from '../changes/memberships.ts';
import type { Context } from '../context.ts';
import { requireUser } from '../identity/rights.ts';
import { withRoleBarrier } from '../identity/role-barrier.ts';
import { userScope } from '../identity/scopes.ts';
import { useChatsOf } from './chat-access.ts';
import { chatScope } from './scopes.ts';
import { ChatEvents } from './watch.ts';

/** What an event of the inbox is about. */
export type InboxKind = 'CHAT' | 'MEMBER' | 'MESSAGE' | 'READ';

/** An event of the inbox. Its `id` is that of the chat, by which the engine withdraws queued events of a chat that the viewer may no longer see. */
export interface InboxEvent extends ChangeEvent {
  readonly kind: InboxKind;
  /** The id of the changed row. */
  readonly rowId: number;
  /** The row after the change, or before it if it was deleted. Only its ids may be sent after a deletion. */
  readonly image: RowImage;
}

/** The models whose changes belong to a chat, with the kinds of their events. */
const KINDS: Readonly<Record<string, InboxKind>> = {
  ChatSession: 'CHAT',
  ChatMember: 'MEMBER',
  ChatMessage: 'MESSAGE',
  ChatReadMark: 'READ',
};
const ACCESS_MODELS = ['ChatSession', 'ChatMember'] as const;

/**
 * Subscribes to everything that happens in the chats in which the viewer participates at the time: changes of the chats, members, messages and read marks.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function watchInbox({ viewer, feed }: Context): Promise<SubscriptionFilter> {
  const user = requireUser(viewer);
  const chats = await useChatsOf(feed, user.id);
  const own = ACCESS_MODELS.map((model): Interest => ({ model, scope: userScope(user.id) }));
  const interestsIn = (chatId: number): Interest[] =>
    Object.keys(KINDS).map((model) => ({ model, scope: chatScope(chatId) }));
  const events = new InboxEvents(user.id, chats);
  return withRoleBarrier({
    viewer: user,
    key: null,
    interests: () => [...own, ...chats.ids().flatMap(interestsIn)],
    toEvent: (change) => events.of(change),
    accessScopes: [],
    hasAccess: () => true,
    mayReceive: ({ row, id }) => row === null || chats.has(id),
    release: chats.release,
  });
}

/** Makes the events of one subscription to the inbox. Events of the same change are equal for all viewers, apart from those about their own participation. */
class InboxEvents {
  readonly #userId: number;
  readonly #chats: MembershipSet;
  readonly #ofChats: ChatEvents;

  constructor(userId: number, chats: MembershipSet) {
    this.#userId = userId;
    this.#chats = chats;
    this.#ofChats = new ChatEvents(userId, chats, false);
  }

  of(change: RowChange): InboxEvent | null {
    const { before, after } = change;
    const image = after ?? before;
    const kind = KINDS[change.model];
    if (!image || !kind) {
      return null;
    }
    if (kind === 'CHAT') {
      const event = this.#ofChats.ofChat(change);
      return event && { ...event, key: keyOf(change, kind, event.action), kind, rowId: change.rowId, image };
    }
    return kind === 'MEMBER' ? this.#ofMember(change, image) : this.#ofRow(change, kind);
  }

  #ofMember(change: RowChange, image: RowImage): InboxEvent | null {
    const { before, after, rowId } = change;
    const chatId = image['chatSessionId'] as number;
    if (before && after) {
      // No column of a membership that clients read can change.
      return null;
    }
    if (image['userId'] !== this.#userId) {
      return this.#ofRow(change, 'MEMBER');
    }
    // The viewer entered or left the chat; a membership of its owner changes nothing.
    const event = this.#chats.has(chatId, 'ChatSession') ? null : this.#ofChats.ofMember(change, chatId);
    return event && { ...event, key: keyOf(change, 'CHAT', event.action), kind: 'CHAT', rowId, image };
  }

  #ofRow(change: RowChange, kind: InboxKind): InboxEvent | null {
    const { before, after, rowId, cursor } = change;
    const wasSeen = this.#sees(before);
    const image = this.#sees(after) ? after : wasSeen ? before : null;
    if (!image) {
      return null;
    }
    // Raw SQL can move a row to another chat.
    const action = image === before ? 'DELETED' : wasSeen ? 'UPDATED' : 'CREATED';
    const id = image['chatSessionId'] as number;
    return { key: keyOf(change, kind, action), cursor, action, id, row: 'current', kind, rowId, image };
  }

  #sees(image: RowImage | null): boolean {
    return image !== null && this.#chats.has(image['chatSessionId'] as number);
  }
}

function keyOf({ cursor }: RowChange, kind: InboxKind, action: EventAction): string {
  return `${cursor} ${kind} ${action}`;
}
