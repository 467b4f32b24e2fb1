import type { RowChange, RowImage } from '../changes/change.ts';
import { type ChangeEvent, changeEvent, type SubscriptionFilter } from '../changes/filter.ts';
import type { Context } from '../context.ts';
import { matches } from '../database/condition.ts';
import { findIds } from '../database/rows.ts';
import { requireUser } from '../identity/rights.ts';
import { withRoleBarrier } from '../identity/role-barrier.ts';
import { userScope } from '../identity/scopes.ts';
import { idsByColumn } from '../validation.ts';
import { accessOfParticipant, type ChatAccess, findChatId, useChatsOf } from './chat-access.ts';
import { chatScope } from './scopes.ts';

/**
 * Subscribes to the messages of a chat. The subscription ends when the caller loses access to the chat.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat in which the viewer participates
 */
export async function watchMessages(context: Context, uri: string): Promise<SubscriptionFilter> {
  return messageFilter(context, await accessOfParticipant(context, await findChatId(context, uri)));
}

/**
 * Subscribes a client that receives no DELETED events to the messages of a chat, as long as it has this access. Messages that were deleted before they could
 * be sent are left out.
 */
export function watchNewMessages(context: Context, access: ChatAccess): SubscriptionFilter {
  return { ...messageFilter(context, access), findHidden: (ids) => findDeleted(context, ids) };
}

async function findDeleted({ database }: Context, ids: readonly number[]): Promise<ReadonlySet<number>> {
  const present = new Set(await findIds(database, 'ChatMessage', { where: { id: { in: [...ids] } } }));
  return new Set(ids.filter((id) => !present.has(id)));
}

/**
 * Subscribes to the messages of all chats in which the viewer participates at the time of each message, or of the message or chat with a given id. The viewer
 * need not participate in that chat yet, unless `untilDenied`: then the subscription ends when the viewer no longer does.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} with `untilDenied`, when the viewer does not participate in the given chat
 */
export async function watchMessagesById(
  context: Context,
  ids: { readonly id?: string; readonly chatSessionId?: string },
  untilDenied: boolean,
): Promise<SubscriptionFilter> {
  const viewer = requireUser(context.viewer);
  const wanted = idsByColumn(ids);
  const { id, chatSessionId } = wanted;
  if (untilDenied && chatSessionId !== undefined && id === undefined) {
    return messageFilter(context, await accessOfParticipant(context, chatSessionId));
  }
  const chats = await useChatsOf(context.feed, viewer.id);
  const isVisible = (row: RowImage): boolean => chats.has(row['chatSessionId'] as number);
  const where = id === undefined ? {} : { where: { column: 'id', value: id } };
  return withRoleBarrier({
    viewer,
    key: null,
    interests: () =>
      (chatSessionId === undefined ? chats.ids() : [chatSessionId]).map((chatId) => ({
        model: 'ChatMessage',
        scope: chatScope(chatId),
        ...where,
      })),
    toEvent: (change) => messageEvent(change, (row) => row !== null && matches(wanted, row) && isVisible(row)),
    accessScopes: [userScope(viewer.id)],
    hasAccess: () => true,
    mayReceive: ({ row }) => row === null || (row !== 'current' && isVisible(row)),
    release: chats.release,
  });
}

function messageFilter({ viewer }: Context, { chatId, hasAccess, release }: ChatAccess): SubscriptionFilter {
  const scope = chatScope(chatId);
  return withRoleBarrier({
    viewer,
    key: `ChatMessage ${scope}`,
    interests: () => [{ model: 'ChatMessage', scope }],
    toEvent: (change) => messageEvent(change, (row) => row?.['chatSessionId'] === chatId),
    accessScopes: [scope],
    hasAccess,
    mayReceive: hasAccess,
    release,
  });
}

function messageEvent(change: RowChange, has: (row: RowImage | null) => boolean): ChangeEvent | null {
  const { before, after, rowId: id } = change;
  if (after !== null && has(after)) {
    return changeEvent(change, { action: has(before) ? 'UPDATED' : 'CREATED', id, row: after });
  }
  return has(before) ? changeEvent(change, { action: 'DELETED', id, row: null }) : null;
}
