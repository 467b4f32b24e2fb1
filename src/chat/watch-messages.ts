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
 * Subscribes a client in whose interface a deleted message is absent, as long as it has this access. A deletion is a DELETED event; messages that were deleted
 * before they could be sent are left out.
 */
export function watchPresentMessages(context: Context, access: ChatAccess): SubscriptionFilter {
  const { chatId } = access;
  return filterOf(context, access, {
    key: `ChatMessage ${chatScope(chatId)} present`,
    models: ['ChatMessage'],
    toEvent: (change) =>
      messageEvent(change, (row) => row !== null && row['chatSessionId'] === chatId && isPresent(row)),
    findHidden: findAbsent,
  });
}

/**
 * Subscribes such a client to the messages of all chats in which the viewer participates at the time of each message, or of the message or chat with a given
 * id. The viewer need not participate in that chat yet, unless `untilDenied`: then the subscription ends when the viewer no longer does.
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
    return watchPresentMessages(context, await accessOfParticipant(context, chatSessionId));
  }
  const chats = await useChatsOf(context.feed, viewer.id);
  const isVisible = (row: RowImage): boolean => isPresent(row) && chats.has(row['chatSessionId'] as number);
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
    findHidden: (events) => findDeleted(context, events),
    release: chats.release,
  });
}

/** Returns the filter of the messages of a chat, with their reactions. A deleted message stays, with `deletedAt`. */
function messageFilter(context: Context, access: ChatAccess): SubscriptionFilter {
  const { chatId } = access;
  const scope = chatScope(chatId);
  return filterOf(context, access, {
    key: `ChatMessage ${scope}`,
    models: ['ChatMessage', 'ChatReaction'],
    toEvent: (change) =>
      change.model === 'ChatReaction'
        ? reactionEvent(change, chatId)
        : messageEvent(change, (row) => row?.['chatSessionId'] === chatId),
    findHidden: findDeleted,
  });
}

function filterOf(
  context: Context,
  { chatId, hasAccess, release }: ChatAccess,
  {
    key,
    models,
    toEvent,
    findHidden,
  }: Pick<SubscriptionFilter, 'key' | 'toEvent'> & {
    readonly models: readonly string[];
    readonly findHidden: typeof findDeleted;
  },
): SubscriptionFilter {
  const scope = chatScope(chatId);
  return withRoleBarrier({
    viewer: context.viewer,
    key,
    interests: () => models.map((model) => ({ model, scope })),
    toEvent,
    accessScopes: [scope],
    hasAccess,
    mayReceive: hasAccess,
    findHidden: (events) => findHidden(context, events),
    release,
  });
}

/** Returns whether the message was not deleted. Images of earlier releases lack the column, which is then null. */
export function isPresent(row: RowImage): boolean {
  return row['deletedAt'] === null;
}

/** Returns the events that show the text of a message that has become a deleted message since; the event of the deletion follows them in the log. */
async function findDeleted(context: Context, events: readonly ChangeEvent[]): Promise<ReadonlySet<ChangeEvent>> {
  const texts = textsOf(events);
  const deleted = await findDeletedMessages(context, idsOf(texts));
  return new Set(texts.filter(({ id }) => deleted.has(id)));
}

/** Returns those of the ids whose messages have become deleted messages. */
export async function findDeletedMessages({ database }: Context, ids: readonly number[]): Promise<ReadonlySet<number>> {
  const where = { id: { in: [...ids] }, deletedAt: { not: null } };
  return new Set(await findIds(database, 'ChatMessage', { where }));
}

/** Returns the same events, and those of messages whose rows no longer exist: clients of the chat socket receive no deletions. */
async function findAbsent({ database }: Context, events: readonly ChangeEvent[]): Promise<ReadonlySet<ChangeEvent>> {
  const texts = textsOf(events);
  const where = { id: { in: idsOf(texts) }, deletedAt: null };
  const present = new Set(await findIds(database, 'ChatMessage', { where }));
  return new Set(texts.filter(({ id }) => !present.has(id)));
}

function textsOf(events: readonly ChangeEvent[]): ChangeEvent[] {
  return events.filter(({ row }) => row !== null && row !== 'current' && isPresent(row));
}

function idsOf(events: readonly ChangeEvent[]): number[] {
  return [...new Set(events.map(({ id }) => id))];
}

/** Returns whether a change makes a message a deleted message. */
export function isDeletion({ before, after }: RowChange): boolean {
  return before !== null && isPresent(before) && after !== null && !isPresent(after);
}

function messageEvent(change: RowChange, has: (row: RowImage | null) => boolean): ChangeEvent | null {
  const { before, after, rowId: id } = change;
  const isRetraction = isDeletion(change);
  if (after !== null && has(after)) {
    return changeEvent(change, { action: has(before) ? 'UPDATED' : 'CREATED', id, row: after, isRetraction });
  }
  return has(before) ? changeEvent(change, { action: 'DELETED', id, row: null, isRetraction }) : null;
}

/** Returns the event of the message whose reactions a change adds to or removes from. */
function reactionEvent(change: RowChange, chatId: number): ChangeEvent | null {
  const image = change.after ?? change.before;
  return image?.['chatSessionId'] === chatId
    ? changeEvent(change, {
        action: 'UPDATED',
        id: image['messageId'] as number,
        row: 'current',
        scope: chatScope(chatId),
      })
    : null;
}
