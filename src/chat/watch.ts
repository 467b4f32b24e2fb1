import type { RowChange, RowImage } from '../changes/change.ts';
import { type ChangeEvent, changeEvent, type Interest, type SubscriptionFilter } from '../changes/filter.ts';
import type { MembershipSet } from '../changes/memberships.ts';
import type { Context } from '../context.ts';
import { NotFoundError } from '../errors.ts';
import { requireUser } from '../identity/rights.ts';
import { withRoleBarrier } from '../identity/role-barrier.ts';
import { userScope } from '../identity/scopes.ts';
import { idsByColumn } from '../validation.ts';
import type { UserViewer } from '../viewer.ts';
import { findChatId, useChatsOf } from './chat-access.ts';
import { chatScope } from './scopes.ts';

/**
 * Subscribes to the chats in which the viewer participates, and to the members who join and leave them. With `uri` it is only this chat, and the subscription ends
 * when the viewer no longer participates. `resumes` says that the subscription continues an earlier one, which may have missed that end.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat in which the viewer participates, unless it resumes
 */
export async function watchChats(
  context: Context,
  uri: string | null | undefined,
  resumes: boolean,
): Promise<SubscriptionFilter> {
  const viewer = requireUser(context.viewer);
  const only = uri == null ? null : await findChatId(context, uri);
  const chats = await useChatsOf(context.feed, viewer.id);
  const isGone = uri != null && (only === null || !chats.has(only));
  if (isGone && !resumes) {
    chats.release();
    throw new NotFoundError();
  }
  return chatFilter(viewer, chats, {
    only,
    concerns: (chatId, chat) => uri == null || chatId === only || (only === null && chat?.['uri'] === uri),
    endsWithAccess: uri != null,
    endsWhenCaughtUp: isGone,
  });
}

/**
 * Subscribes to the same for clients that identify chats by id. With `id` it is only this chat, in which the viewer need not participate yet.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function watchChatsById(
  { viewer, feed }: Context,
  ids: { readonly id?: string | undefined },
): Promise<SubscriptionFilter> {
  const user = requireUser(viewer);
  const only = idsByColumn(ids)['id'] ?? null;
  const chats = await useChatsOf(feed, user.id);
  return chatFilter(user, chats, {
    only,
    concerns: (chatId) => only === null || chatId === only,
    endsWithAccess: false,
    endsWhenCaughtUp: false,
  });
}

interface ChatFilterOptions {
  /** The id of the only chat that the subscription follows; null for all chats. */
  readonly only: number | null;
  readonly concerns: (chatId: number, chat: RowImage | null) => boolean;
  /** Whether the subscription ends when the viewer no longer participates. */
  readonly endsWithAccess: boolean;
  readonly endsWhenCaughtUp: boolean;
}

const CHAT_MODELS = ['ChatSession', 'ChatMember'] as const;

function chatFilter(
  viewer: UserViewer,
  chats: MembershipSet,
  { only, concerns, endsWithAccess, endsWhenCaughtUp }: ChatFilterOptions,
): SubscriptionFilter {
  const events = new ChatEvents(viewer.id, chats, endsWithAccess);
  const interestsIn = (scope: string): Interest[] => CHAT_MODELS.map((model) => ({ model, scope }));
  return withRoleBarrier({
    viewer,
    key: null,
    interests: () => [
      ...interestsIn(userScope(viewer.id)),
      ...(only === null ? chats.ids() : [only]).flatMap((id) => interestsIn(chatScope(id))),
    ],
    toEvent: (change) => {
      const image = change.after ?? change.before;
      if (change.model === 'ChatSession') {
        return concerns(change.rowId, image) ? events.ofChat(change) : null;
      }
      const chatId = image?.['chatSessionId'] as number;
      return concerns(chatId, null) ? events.ofMember(change, chatId) : null;
    },
    accessScopes: [],
    hasAccess: () => true,
    endsWhenCaughtUp,
    mayReceive: ({ row, id }) => row === null || chats.has(id),
    release: chats.release,
  });
}

/** Makes the events of one subscription to chats. */
export class ChatEvents {
  readonly #userId: number;
  readonly #chats: MembershipSet;
  readonly #endsWithAccess: boolean;
  /** The chats whose DELETED event was sent. The log also contains the deletions of their members, on SQLite before and on PostgreSQL after that of the chat. */
  readonly #deleted = new Set<number>();

  constructor(userId: number, chats: MembershipSet, endsWithAccess: boolean) {
    this.#userId = userId;
    this.#chats = chats;
    this.#endsWithAccess = endsWithAccess;
  }

  /** Returns the event of a change of a chat; null when the subscriber need not know of it. */
  ofChat(change: RowChange): ChangeEvent | null {
    const { rowId: id, before, after } = change;
    const isMember = this.#chats.has(id, 'ChatMember');
    if (before === null && isMember) {
      // The insertion of the viewer's membership has an event of its own.
      return null;
    }
    const wasParticipant = before?.['ownerId'] === this.#userId || isMember;
    if (after !== null && this.#chats.has(id)) {
      return changeEvent(change, { action: wasParticipant ? 'UPDATED' : 'CREATED', id, row: after });
    }
    if (!wasParticipant || this.#deleted.has(id)) {
      return null;
    }
    this.#deleted.add(id);
    return changeEvent(change, { action: 'DELETED', id, row: null, isLast: this.#endsWithAccess });
  }

  /** Returns the event of a change of a membership; null when the subscriber need not know of it. */
  ofMember(change: RowChange, id: number): ChangeEvent | null {
    const { before, after } = change;
    const isOwn = (before ?? after)?.['userId'] === this.#userId && !this.#chats.has(id, 'ChatSession');
    if (isOwn && after === null) {
      const isLast = this.#endsWithAccess && !this.#chats.has(id);
      return this.#deleted.has(id)
        ? null
        : changeEvent(change, { action: 'DELETED', id, row: null, isRevoked: true, isLast });
    }
    const action = isOwn ? 'CREATED' : 'UPDATED';
    return this.#chats.has(id) ? changeEvent(change, { action, id, row: 'current' }) : null;
  }
}
