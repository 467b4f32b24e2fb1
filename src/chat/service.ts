import { randomUUID } from 'node:crypto';
import { permit, signedIn } from '../accounts/policy.ts';
import { usernameKey } from '../accounts/usernames.ts';
import type { Context } from '../context.ts';
import { byId, findBatched, loadBatched, loadRelated } from '../database/batch.ts';
import type { Condition } from '../database/condition.ts';
import { type Order, type OrderColumns, type Page, type PageArguments, readPage } from '../database/page.ts';
import { findRow, findRows } from '../database/rows.ts';
import { inTransaction, lockRow } from '../database/transactions.ts';
import { ConflictError, NotFoundError, ValidationError } from '../errors.ts';
import type { ChatSession, User } from '../generated/client/client.ts';
import { canRemoveMembers, visibleChats } from './policy.ts';

const URI_LENGTH = 15;
/** How many users one call may add. */
const MAX_ADDED = 100;
/** How many members a chat has room for, its owner not counted. */
export const MAX_MEMBERS = 1000;

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
 * Makes the viewer a member of the chat whose uri they hold; doing it again changes nothing.
 *
 * @throws {NotFoundError} when there is no such chat
 * @throws {ConflictError} when it is full
 */
export async function joinChat(context: Context, uri: string): Promise<ChatSession> {
  const { id } = signedIn(context.viewer);
  const chat = await findRow(context.database, 'ChatSession', { uri });
  if (!chat) {
    throw new NotFoundError();
  }
  await addMembers(context, chat, [id]);
  return chat;
}

/**
 * Makes other users members; those who take part already stay as they are.
 *
 * @throws {NotFoundError} when the viewer takes part in no such chat
 * @throws {ValidationError} naming every user who does not exist or is not active
 * @throws {ConflictError} when the chat would be too full; then nobody is added
 */
export async function addChatMembers(
  context: Context,
  uri: string,
  usernames: readonly string[],
): Promise<ChatSession> {
  signedIn(context.viewer);
  const chat = await participatedChat(context, uri);
  if (usernames.length > MAX_ADDED) {
    throw new ValidationError([
      { path: 'usernames', message: `Ensure this field has no more than ${MAX_ADDED} elements.` },
    ]);
  }
  const keys = usernames.map(usernameKey);
  const users = await findRows(context.database, 'User', { where: { usernameKey: { in: keys }, isActive: true } });
  const idByKey = new Map(users.map((user) => [user.usernameKey, user.id]));
  const unknown = keys.flatMap((key, index) =>
    idByKey.has(key) ? [] : [{ path: `usernames.${index}`, message: 'User does not exist.' }],
  );
  if (unknown.length > 0) {
    throw new ValidationError(unknown);
  }
  await addMembers(
    context,
    chat,
    keys.flatMap((key) => idByKey.get(key) ?? []),
  );
  return chat;
}

/**
 * Takes a member out of the chat; whoever is none stays none. Taking oneself out is leaving.
 *
 * @throws {NotFoundError} when the viewer takes part in no such chat, or nobody has that name
 * @throws {AppError} `FORBIDDEN` unless the viewer owns the chat or is that member
 * @throws {ConflictError} for the owner of the chat
 */
export async function removeChatMember(context: Context, uri: string, username: string): Promise<ChatSession> {
  const viewer = signedIn(context.viewer);
  const chat = await participatedChat(context, uri);
  const user = await findRow(context.database, 'User', { usernameKey: usernameKey(username) });
  if (!user) {
    throw new NotFoundError();
  }
  permit(user.id === viewer.id || canRemoveMembers(viewer, chat));
  await removeMember(context, chat, user.id);
  return chat;
}

/**
 * Ends the viewer's membership.
 *
 * @throws {NotFoundError} when the viewer takes part in no such chat
 * @throws {ConflictError} for the owner, who stays as long as the chat does
 */
export async function leaveChat(context: Context, uri: string): Promise<ChatSession> {
  const { id } = signedIn(context.viewer);
  const chat = await participatedChat(context, uri);
  await removeMember(context, chat, id);
  return chat;
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
 * @throws {NotFoundError} when there is none
 */
export async function heldChat(context: Context, uri: string): Promise<{ chat: ChatSession; takesPart: boolean }> {
  const { id } = signedIn(context.viewer);
  const chat = await findRow(context.database, 'ChatSession', { uri });
  if (!chat) {
    throw new NotFoundError();
  }
  return { chat, takesPart: chat.ownerId === id || (await findChat(context, uri)) !== undefined };
}

async function addMembers({ database }: Context, chat: ChatSession, userIds: readonly number[]): Promise<void> {
  await inTransaction(database, async (transaction) => {
    await lockRow(transaction, 'ChatSession', chat.id);
    const members = await transaction.chatMember.findMany({
      where: { chatSessionId: chat.id },
      select: { userId: true },
    });
    const present = new Set([chat.ownerId, ...members.map(({ userId }) => userId)]);
    const joining = [...new Set(userIds)].filter((id) => !present.has(id));
    if (members.length + joining.length > MAX_MEMBERS) {
      throw new ConflictError(`A chat has room for ${MAX_MEMBERS} members.`);
    }
    if (joining.length > 0) {
      await transaction.chatMember.createMany({
        data: joining.map((userId) => ({ chatSessionId: chat.id, userId })),
      });
    }
  });
}

async function removeMember({ database }: Context, chat: ChatSession, userId: number): Promise<void> {
  if (userId === chat.ownerId) {
    throw new ConflictError('The owner of a chat cannot leave it.');
  }
  await database.chatMember.deleteMany({ where: { chatSessionId: chat.id, userId } });
}
