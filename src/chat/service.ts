import { randomUUID } from 'node:crypto';
import { permit, signedIn } from '../accounts/policy.ts';
import type { Context } from '../context.ts';
import { byId, findBatched, loadBatched, loadRelated } from '../database/batch.ts';
import type { Condition } from '../database/condition.ts';
import { orNotFound } from '../database/failures.ts';
import { type Order, type OrderColumns, type Page, type PageArguments, readPage } from '../database/page.ts';
import { findRow, findRows } from '../database/rows.ts';
import { NotFoundError } from '../errors.ts';
import type { ChatSession, User } from '../generated/client/client.ts';
import { canManageChat, joinableChats, visibleChats } from './policy.ts';

const URI_LENGTH = 15;

export const CHAT_ORDERS = { id: 'number', createdAt: 'date', updatedAt: 'date' } as const satisfies OrderColumns;

/**
 * One page of the chats that the viewer takes part in.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function listChats(
  context: Context,
  filter: { readonly ownedByMe?: boolean | null | undefined } | null | undefined,
  order: Order<keyof typeof CHAT_ORDERS>,
  page: PageArguments,
): Promise<Page<ChatSession>> {
  const { id } = signedIn(context.viewer);
  const owned = filter?.ownedByMe == null ? {} : { ownerId: filter.ownedByMe ? id : { not: id } };
  return readPage(
    context,
    {
      model: 'ChatSession',
      where: visibleChats(context.viewer),
      filter: owned,
      columns: CHAT_ORDERS,
    },
    page,
    order,
  );
}

/** The chat with this uri, when the viewer takes part in it. */
export function findChat({ database, viewer }: Context, uri: string): Promise<ChatSession | undefined> {
  return findRow(database, 'ChatSession', { AND: [{ uri }, visibleChats(viewer)] });
}

/** The chat with this id, when the viewer takes part in it; batched. */
export function findChatById(context: Context, id: string | number): Promise<ChatSession | undefined> {
  const { database, viewer } = context;
  return findBatched(context, 'ChatSession', id, (ids) =>
    findRows(database, 'ChatSession', { where: { AND: [{ id: { in: ids } }, visibleChats(viewer)] } }),
  );
}

/** The chat of a message that the viewer sees; batched. */
export function loadChat(context: Context, id: number): Promise<ChatSession | undefined> {
  const { database } = context;
  return loadRelated(context, 'ChatSession', id, (ids) =>
    findRows(database, 'ChatSession', { where: { id: { in: ids } } }),
  );
}

/** The chats whose members and messages may be read: in a delivery those of the event, which was checked, otherwise those of the viewer. */
export function readableChats({ viewer, delivery }: Context): Condition<'ChatSession'> {
  return delivery ? {} : visibleChats(viewer);
}

/** Opens a chat that the viewer owns. */
export async function createChat({ database, viewer }: Context): Promise<ChatSession> {
  const { id } = signedIn(viewer);
  return database.chatSession.create({ data: { uri: newChatUri(), ownerId: id } });
}

/** A new uri: as many random bits as an invitation needs that nobody can guess. */
export function newChatUri(): string {
  return randomUUID().replaceAll('-', '').slice(0, URI_LENGTH);
}

/**
 * Gives a chat another uri. The old one is dead at once; whoever takes part stays.
 *
 * @throws {NotFoundError} when the viewer takes part in no such chat
 * @throws {AppError} `FORBIDDEN` unless the viewer owns it
 */
export async function renewChatUri(context: Context, uri: string): Promise<ChatSession> {
  permit(canManageChat(context.viewer, await participatedChat(context, uri)));
  // Of two renewals at the same moment, the second one finds no chat of that uri any more.
  return orNotFound(context.database.chatSession.update({ where: { uri }, data: { uri: newChatUri() } }));
}

/** Who takes part in a chat that the viewer sees: the owner first, then the members in the order of joining; batched. */
export async function listParticipants(context: Context, chat: ChatSession): Promise<readonly User[]> {
  const { database } = context;
  const participants = await loadBatched(context, 'ChatSession.members', chat.id, async (ids) => {
    const chats = await findRows(database, 'ChatSession', {
      where: { AND: [{ id: { in: [...ids] } }, readableChats(context)] },
    });
    const members = await findRows(database, 'ChatMember', {
      where: { chatSessionId: { in: chats.map(({ id }) => id) } },
      orderBy: [{ id: 'asc' }],
    });
    const userIds = new Map(chats.map(({ id, ownerId }) => [id, [ownerId]]));
    for (const { chatSessionId, userId } of members) {
      userIds.get(chatSessionId)?.push(userId);
    }
    const users = byId(
      await findRows(database, 'User', { where: { id: { in: [...new Set([...userIds.values()].flat())] } } }),
    );
    return new Map([...userIds].map(([id, all]) => [id, all.flatMap((userId) => users.get(userId) ?? [])]));
  });
  context.answer.addRows(participants ?? []);
  return participants ?? [];
}

/**
 * The chat with this uri, in which the viewer takes part.
 *
 * @throws {NotFoundError} when there is none
 */
export async function participatedChat(context: Context, uri: string): Promise<ChatSession> {
  const chat = await findChat(context, uri);
  if (!chat) {
    throw new NotFoundError();
  }
  return chat;
}

/**
 * The chat whose uri the caller holds, with whether they take part in it.
 *
 * @throws {NotFoundError} when there is none, and when the caller was removed from it
 */
export async function heldChat(context: Context, uri: string): Promise<{ chat: ChatSession; takesPart: boolean }> {
  const { id } = signedIn(context.viewer);
  const chat = await findRow(context.database, 'ChatSession', { AND: [{ uri }, joinableChats(context.viewer)] });
  if (!chat) {
    throw new NotFoundError();
  }
  return { chat, takesPart: chat.ownerId === id || (await findChat(context, uri)) !== undefined };
}
