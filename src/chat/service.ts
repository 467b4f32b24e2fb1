import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { byId, loadBatched, loadRelated } from '../database/batch.ts';
import type { Condition, RowCondition } from '../database/condition.ts';
import { orNotFound } from '../database/failures.ts';
import { filterCondition, type ListArguments, type ListFilter, timeRange } from '../database/list-filters.ts';
import { readPageByNewestChild } from '../database/newest-children.ts';
import { type OrderColumns, type Page, readPage } from '../database/page.ts';
import { findRow, findRows, updateRow } from '../database/rows.ts';
import { NotFoundError } from '../errors.ts';
import type { ChatSession, User } from '../generated/client/client.ts';
import { requirePermission, requireUser } from '../identity/rights.ts';
import { findVisible } from '../identity/visible-rows.ts';
import { text, validate } from '../validation.ts';
import { isViewer } from '../viewer.ts';
import { canManageChat, joinableChats, visibleChats } from './policy.ts';

const URI_LENGTH = 15;

const MAX_TITLE = 100;

const chatDetails = z.object({ title: text(MAX_TITLE).nullable().optional() });

/** The fields of a chat that its owner chooses. */
export type ChatDetails = z.input<typeof chatDetails>;

export const CHAT_ORDERS = {
  id: 'number',
  createdAt: 'date',
  updatedAt: 'date',
  lastMessage: 'number',
} as const satisfies OrderColumns;

/** The conditions on a list of chats; a condition that is left out or null does not apply. */
export interface ChatFilter extends ListFilter<ChatFilter> {
  readonly ownedByMe?: boolean | null | undefined;
  readonly createdFrom?: Date | null | undefined;
  readonly createdBefore?: Date | null | undefined;
  readonly updatedFrom?: Date | null | undefined;
  readonly updatedBefore?: Date | null | undefined;
}

function chatCondition(filter: Partial<ChatFilter>, viewerId: number): RowCondition<'ChatSession'> {
  const { ownedByMe, createdFrom, createdBefore, updatedFrom, updatedBefore } = filter;
  return {
    ...(ownedByMe != null && { ownerId: ownedByMe ? viewerId : { not: viewerId } }),
    ...timeRange('createdAt', createdFrom, createdBefore),
    ...timeRange('updatedAt', updatedFrom, updatedBefore),
  };
}

/**
 * Returns one page of the chats in which the viewer participates; see {@link readPage} for its other errors.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function listChats(
  context: Context,
  { filter, order, page }: ListArguments<ChatFilter, typeof CHAT_ORDERS>,
): Promise<Page<ChatSession>> {
  const { id } = requireUser(context.viewer);
  const where = visibleChats(context.viewer);
  const condition = filterCondition(filter, (part) => chatCondition(part, id));
  const listing = { model: 'ChatSession', where, filter: condition, columns: CHAT_ORDERS } as const;
  return order.column === 'lastMessage'
    ? readPageByNewestChild(context, { ...listing, child: 'ChatMessage', column: 'chatSessionId' }, page, order)
    : readPage(context, listing, page, order);
}

/** Returns the chat with this uri if the viewer participates in it. */
export function findChat({ database, viewer }: Context, uri: string): Promise<ChatSession | undefined> {
  return findRow(database, 'ChatSession', { AND: [{ uri }, visibleChats(viewer)] });
}

/** Returns the chat with this id if the viewer participates in it; batched. */
export function findChatById(context: Context, id: string | number): Promise<ChatSession | undefined> {
  return findVisible(context, 'ChatSession', id, visibleChats(context.viewer));
}

/** Returns the chat of a message that the viewer may see; batched. */
export function loadChat(context: Context, id: number): Promise<ChatSession | undefined> {
  const { database } = context;
  return loadRelated(context, 'ChatSession', id, (ids) =>
    findRows(database, 'ChatSession', { where: { id: { in: ids } } }),
  );
}

/** Returns the condition of the chats whose participants and messages may be read. In a delivery the access to the chat of the event was checked before. */
export function readableChats({ viewer, delivery }: Context): Condition<'ChatSession'> {
  return delivery ? {} : visibleChats(viewer);
}

/**
 * Creates a chat that the viewer owns.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {ValidationError} when the title is empty or too long
 */
export async function createChat({ database, viewer }: Context, input: ChatDetails = {}): Promise<ChatSession> {
  const { id } = requireUser(viewer);
  return database.chatSession.create({ data: { uri: newChatUri(), ownerId: id, ...validate(chatDetails, input) } });
}

/**
 * Changes the title of a chat; null removes it, and a title that is left out stays.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat in which the viewer participates
 * @throws {AppError} `FORBIDDEN` unless the viewer owns it
 * @throws {ValidationError} when the title is empty or too long
 */
export async function updateChat(context: Context, uri: string, input: ChatDetails): Promise<ChatSession> {
  const chat = await requireChat(context, uri);
  requirePermission(canManageChat(context.viewer, chat));
  const { title = chat.title } = validate(chatDetails, input);
  return title === chat.title ? chat : updateRow(context.database, 'ChatSession', { id: chat.id }, { title });
}

/** Returns a new uri. It has enough random bits to be an invitation that nobody can guess. */
export function newChatUri(): string {
  return randomUUID().replaceAll('-', '').slice(0, URI_LENGTH);
}

/**
 * Gives a chat a new uri. The old uri is invalid at once; the participants stay.
 *
 * @throws {NotFoundError} when there is no such chat in which the viewer participates
 * @throws {AppError} `FORBIDDEN` unless the viewer owns it
 */
export async function renewChatUri(context: Context, uri: string): Promise<ChatSession> {
  requirePermission(canManageChat(context.viewer, await requireChat(context, uri)));
  // Of two concurrent renewals, the second one finds no chat with the old uri.
  return orNotFound(context.database.chatSession.update({ where: { uri }, data: { uri: newChatUri() } }));
}

/** Returns the participants of a chat that the viewer may see: the owner, then the members in the order in which they joined; batched. */
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

/** How the viewer may use a chat: as its owner or a member, or as a user who has its uri and was not removed from it. */
export type ChatRole = 'participant' | 'invited';

/**
 * Returns the chat with this uri, in which the viewer has the role.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat
 */
export async function requireChat(
  { database, viewer }: Context,
  uri: string,
  { role = 'participant' }: { readonly role?: ChatRole } = {},
): Promise<ChatSession> {
  const user = requireUser(viewer);
  const policy = role === 'participant' ? visibleChats(user) : joinableChats(user);
  const chat = await findRow(database, 'ChatSession', { AND: [{ uri }, policy] });
  if (!chat) {
    throw new NotFoundError();
  }
  return chat;
}

/** Returns whether the viewer is the owner or a member of the chat. */
export async function isParticipant(context: Context, chat: ChatSession): Promise<boolean> {
  return isViewer(context.viewer, chat.ownerId) || (await findChat(context, chat.uri)) !== undefined;
}
