import type { Context } from '../context.ts';
import { inChunks, loadBatched } from '../database/batch.ts';
import { isUniqueViolation, orMissingReference } from '../database/failures.ts';
import type { NewestCount } from '../database/newest-children-sql.ts';
import {
  countNewestChildren,
  findChildren,
  findRow,
  findRows,
  insertRow,
  insertRowIf,
  updateRows,
} from '../database/rows.ts';
import { NotFoundError } from '../errors.ts';
import type { ChatMessage, ChatReadMark, ChatSession, User } from '../generated/client/client.ts';
import { loadUser } from '../identity/named-users.ts';
import { requireUser } from '../identity/rights.ts';
import { parseId } from '../validation.ts';
import { readableChats, requireChat } from './service.ts';

/** The messages of a chat that are counted at most as unread. */
const MAX_UNREAD = 1000;
/** The number of chats whose unread messages one statement counts: on SQLite it blocks the process. */
const CHATS_PER_COUNT = 20;

const MESSAGES = { child: 'ChatMessage', parent: 'ChatSession', column: 'chatSessionId' } as const;

/**
 * Marks a chat as read by the viewer, up to and including a message. The mark never moves back. Returns the chat.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat in which the viewer participates, or no such message in it
 */
export async function markRead(context: Context, uri: string, upTo: string | number): Promise<ChatSession> {
  const { id: userId } = requireUser(context.viewer);
  const chat = await requireChat(context, uri);
  const messageId = parseId(upTo);
  const isMessage =
    messageId !== null && (await findRow(context.database, 'ChatMessage', { id: messageId, chatSessionId: chat.id }));
  if (!isMessage) {
    throw new NotFoundError();
  }
  await moveMark(context, chat, { chatSessionId: chat.id, userId, messageId });
  return chat;
}

type NewMark = Pick<ChatReadMark, 'chatSessionId' | 'userId' | 'messageId'>;

async function moveMark(context: Context, chat: ChatSession, mark: NewMark): Promise<void> {
  const { database } = context;
  const { chatSessionId, userId, messageId } = mark;
  const own = { chatSessionId, userId };
  const moved = await updateRows(database, 'ChatReadMark', { ...own, messageId: { lt: messageId } }, { messageId });
  if (moved.length > 0 || (await findRow(database, 'ChatReadMark', own))) {
    return;
  }
  // An owner never leaves, but a member may be removed before the mark is inserted.
  const inserting: Promise<unknown> =
    chat.ownerId === userId
      ? insertRow(database, 'ChatReadMark', mark)
      : insertRowIf(database, 'ChatReadMark', mark, { model: 'ChatMember', where: own });
  try {
    if (!(await orMissingReference(inserting, () => new NotFoundError()))) {
      throw new NotFoundError();
    }
  } catch (error) {
    if (!isUniqueViolation(error)) {
      throw error;
    }
    // The same user has marked another message at the same time.
    await moveMark(context, chat, mark);
  }
}

/** Returns the read marks of the participants of a chat that the viewer may see, in the order in which they were first set; batched. */
export async function listReadMarks(context: Context, chatId: number): Promise<readonly ChatReadMark[]> {
  const { database } = context;
  const marks = await loadBatched(context, 'ChatSession.readMarks', chatId, async (ids) => {
    const chats = await findRows(database, 'ChatSession', {
      where: { AND: [{ id: { in: [...ids] } }, readableChats(context)] },
    });
    const inChats = { chatSessionId: { in: chats.map(({ id }) => id) } };
    const members = await findRows(database, 'ChatMember', { where: inChats });
    const participants = new Map(chats.map(({ id, ownerId }) => [id, new Set([ownerId])]));
    for (const { chatSessionId, userId } of members) {
      participants.get(chatSessionId)?.add(userId);
    }
    const found = new Map<number, ChatReadMark[]>(chats.map(({ id }) => [id, []]));
    for (const mark of await findRows(database, 'ChatReadMark', { where: inChats, orderBy: [{ id: 'asc' }] })) {
      if (participants.get(mark.chatSessionId)?.has(mark.userId)) {
        found.get(mark.chatSessionId)?.push(mark);
      }
    }
    return found;
  });
  return marks ?? [];
}

/** Returns the participants who have read a message that the viewer may see; batched. */
export async function listReaders(
  context: Context,
  { id, chatSessionId }: Pick<ChatMessage, 'id' | 'chatSessionId'>,
): Promise<readonly User[]> {
  const marks = await listReadMarks(context, chatSessionId);
  const reading = marks.filter(({ messageId }) => messageId >= id).map(({ userId }) => loadUser(context, userId));
  const readers = (await Promise.all(reading)).flatMap((user) => user ?? []);
  context.answer.addRows(readers);
  return readers;
}

/** Returns the read mark of the viewer in a chat; null when they have set none; batched. */
export async function findOwnReadMark(context: Context, chat: ChatSession): Promise<ChatReadMark | null> {
  const mark = await loadBatched(context, 'ChatSession.viewerReadMark', chat.id, async (ids) => {
    const marks = await ownMarks(context, await readableIds(context, ids));
    return new Map(marks.map((each) => [each.chatSessionId, each]));
  });
  return mark ?? null;
}

/** Returns the last message of a chat that the viewer may see; null when it has none; batched. */
export async function findLastMessage(context: Context, chat: ChatSession): Promise<ChatMessage | null> {
  const { database, answer } = context;
  const message = await loadBatched(context, 'ChatSession.lastMessage', chat.id, async (ids) => {
    const readable = await readableIds(context, ids);
    const query = { where: {}, orderBy: [{ id: 'desc' as const }], take: 1 };
    const messages = await answer.read(() => findChildren(database, MESSAGES, readable, query));
    return new Map(messages.map((each) => [each.chatSessionId, each]));
  });
  return message ?? null;
}

/**
 * Returns the number of messages that other participants sent after the read mark of the viewer or, without one, after the viewer joined. Deleted messages do not
 * count, and only the newest {@link MAX_UNREAD} messages of the chat are looked at. Batched.
 */
export function countUnread(context: Context, chat: ChatSession): Promise<number> {
  const { id: userId } = requireUser(context.viewer);
  const where = { userId: { not: userId }, deletedAt: null };
  return countAfterMark(context, chat, 'ChatMessage', { within: {}, key: 'id', reach: MAX_UNREAD, where });
}

/** Returns the number of messages after the same mark that mention the viewer, at most {@link MAX_UNREAD}; batched. */
export function countUnreadMentions(context: Context, chat: ChatSession): Promise<number> {
  const { id: userId } = requireUser(context.viewer);
  return countAfterMark(context, chat, 'ChatMention', {
    within: { userId },
    key: 'messageId',
    reach: MAX_UNREAD,
    where: {},
  });
}

async function countAfterMark(
  context: Context,
  chat: ChatSession,
  child: 'ChatMessage' | 'ChatMention',
  counted: NewestCount,
): Promise<number> {
  const count = await loadBatched(context, `unread ${child}`, chat.id, async (ids) => {
    const starts = await loadStarts(context, await readableIds(context, ids));
    const counts = await inChunks([...starts.keys()], CHATS_PER_COUNT, async (part) => {
      const runs = part.map((parentId) => ({ parentId, after: starts.get(parentId) ?? 0 }));
      return [...(await countNewestChildren(context.database, { child, column: 'chatSessionId' }, runs, counted))];
    });
    return new Map(counts);
  });
  return count ?? 0;
}

/** Returns, for each chat, the id of the message up to which it counts as read by the viewer. */
async function loadStarts(context: Context, ids: readonly number[]): Promise<Map<number, number>> {
  const starts = new Map(ids.map((id) => [id, 0]));
  const marks = await ownMarks(context, ids);
  const marked = new Set(marks.map(({ chatSessionId }) => chatSessionId));
  const unmarked = ids.filter((id) => !marked.has(id));
  const { id: userId } = requireUser(context.viewer);
  const members =
    unmarked.length === 0
      ? []
      : await findRows(context.database, 'ChatMember', { where: { userId, chatSessionId: { in: unmarked } } });
  for (const { chatSessionId, joinedAfter } of members) {
    starts.set(chatSessionId, joinedAfter);
  }
  for (const { chatSessionId, messageId } of marks) {
    starts.set(chatSessionId, messageId);
  }
  return starts;
}

function ownMarks(context: Context, ids: readonly number[]): Promise<ChatReadMark[]> {
  const { id: userId } = requireUser(context.viewer);
  return findRows(context.database, 'ChatReadMark', { where: { userId, chatSessionId: { in: [...ids] } } });
}

/** Returns those of the chats that the viewer may read. */
async function readableIds(context: Context, ids: readonly number[]): Promise<number[]> {
  if (context.delivery) {
    return [...ids];
  }
  const chats = await findRows(context.database, 'ChatSession', {
    where: { AND: [{ id: { in: [...ids] } }, readableChats(context)] },
  });
  return chats.map(({ id }) => id);
}
