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
import { findDeletedMessages, isDeletion, isPresent } from './watch-messages.ts';

/** What an event of the inbox is about. */
export type InboxKind = 'CHAT' | 'MEMBER' | 'MESSAGE' | 'READ';

/** An event of the inbox. Its `id` is that of the chat, by which the engine withdraws queued events of a chat that the viewer may no longer see. */
export interface InboxEvent extends ChangeEvent {
  readonly kind: InboxKind;
  /** The id of the row that the event is about; of a reaction, that of its message. */
  readonly rowId: number;
  /** The row after the change, or before it if it was deleted. Only its ids may be sent after a deletion. */
  readonly image: RowImage;
  /** Whether the change is that of a reaction, whose image is not that of the message. */
  readonly isReaction?: boolean;
}

/** The models whose changes belong to a chat, with the kinds of their events. */
const KINDS: Readonly<Record<string, InboxKind>> = {
  ChatSession: 'CHAT',
  ChatMember: 'MEMBER',
  ChatMessage: 'MESSAGE',
  ChatReaction: 'MESSAGE',
  ChatReadMark: 'READ',
};
const ACCESS_MODELS = ['ChatSession', 'ChatMember'] as const;

/**
 * Subscribes to everything that happens in the chats in which the viewer participates at the time: changes of the chats, members, messages and read marks.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function watchInbox(context: Context): Promise<SubscriptionFilter> {
  const { viewer, feed } = context;
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
    findHidden: (shown) => findDeletedTexts(context, shown as readonly InboxEvent[]),
    release: chats.release,
  });
}

/** Returns the events that show the text of a message that has become a deleted message since; the event of the deletion follows them in the log. */
async function findDeletedTexts(context: Context, events: readonly InboxEvent[]): Promise<ReadonlySet<ChangeEvent>> {
  const texts = events.filter(
    ({ kind, action, isReaction, image }) =>
      kind === 'MESSAGE' && action !== 'DELETED' && (isReaction || isPresent(image)),
  );
  const deleted = await findDeletedMessages(context, [...new Set(texts.map(({ rowId }) => rowId))]);
  return new Set(texts.filter(({ rowId }) => deleted.has(rowId)));
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
    const isReaction = change.model === 'ChatReaction';
    // Raw SQL can move a row to another chat.
    const effect = image === before ? 'DELETED' : wasSeen ? 'UPDATED' : 'CREATED';
    const action = isReaction ? 'UPDATED' : effect;
    const about = isReaction ? (image['messageId'] as number) : rowId;
    return {
      key: keyOf(change, kind, action),
      cursor,
      action,
      id: image['chatSessionId'] as number,
      row: 'current',
      kind,
      rowId: about,
      image,
      isReaction,
      ...(kind === 'MESSAGE' && { part: about, isRetraction: !isReaction && isDeletion(change) }),
    };
  }

  #sees(image: RowImage | null): boolean {
    return image !== null && this.#chats.has(image['chatSessionId'] as number);
  }
}

function keyOf({ cursor }: RowChange, kind: InboxKind, action: EventAction): string {
  return `${cursor} ${kind} ${action}`;
}
