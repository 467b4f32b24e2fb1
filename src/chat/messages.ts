import { z } from 'zod';
import type { Context } from '../context.ts';
import { loadRelated } from '../database/batch.ts';
import { readChildPage, readChildPageAround } from '../database/child-pages.ts';
import type { Transaction } from '../database/client.ts';
import { orMissingReference } from '../database/failures.ts';
import { jsonOfRows } from '../database/json-rows.ts';
import type { JsonLayout, JsonShape } from '../database/json-sql.ts';
import { DEFAULT_PAGE_SIZE, type Order, type OrderColumns, type Page, type PageArguments } from '../database/page.ts';
import { findIds, findLocked, findRows, insertRow, insertRowIf, type RowData, updateRow } from '../database/rows.ts';
import type { RowQuery } from '../database/select-sql.ts';
import { inTransaction } from '../database/transactions.ts';
import { ConflictError, NotFoundError, ValidationError } from '../errors.ts';
import type { ChatMessage, ChatSession } from '../generated/client/client.ts';
import { requirePermission, requireUser } from '../identity/rights.ts';
import { findVisible } from '../identity/visible-rows.ts';
import { parseId, text, validate } from '../validation.ts';
import { findMentioned, writeMentions } from './mentions.ts';
import { canDeleteMessage, canEditMessage, visibleMessages } from './policy.ts';
import { findChatById, loadChat, requireChat } from './service.ts';
import { typingSignals } from './typing.ts';

const MAX_MESSAGE = 2000;

export const MESSAGE_ORDERS = { id: 'number' } as const satisfies OrderColumns;

export const newMessage = z.object({ message: text(MAX_MESSAGE, { trim: false }) });

/**
 * Sends a message to a chat, as a reply to another message of it if `replyTo` is given.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat in which the viewer participates
 * @throws {ValidationError} when the message is empty or too long, or `replyTo` is not a message of the chat or was deleted
 */
export async function sendMessage(
  context: Context,
  uri: string,
  text: string,
  replyTo?: string | number | null,
): Promise<ChatMessage> {
  const { id } = requireUser(context.viewer);
  const chat = await requireChat(context, uri);
  const data = {
    ...validate(newMessage, { message: text }),
    chatSessionId: chat.id,
    userId: id,
    ...(replyTo != null && { replyToId: await requireRepliable(context, chat, replyTo) }),
  };
  const mentioned = await findMentioned(context, chat.id, data.message);
  if (mentioned.length === 0) {
    return insertMessage(context.database, chat, data);
  }
  return inTransaction(context.database, async (transaction) => {
    const message = await insertMessage(transaction, chat, data);
    await writeMentions(transaction, message, mentioned);
    return message;
  });
}

/** @throws {ValidationError} when there is no such message in the chat, or it was deleted */
async function requireRepliable(context: Context, chat: ChatSession, id: string | number): Promise<number> {
  const message = await findMessage(context, id);
  if (message?.chatSessionId !== chat.id || message.deletedAt !== null) {
    throw new ValidationError([{ path: 'replyTo', message: 'There is no such message in this chat.' }]);
  }
  return message.id;
}

async function insertMessage(
  database: Transaction,
  { id: chatSessionId, ownerId }: ChatSession,
  data: RowData<'ChatMessage'> & { readonly userId: number },
): Promise<ChatMessage> {
  // An owner never leaves, but a member may be removed before the message is inserted.
  const membership = { model: 'ChatMember', where: { chatSessionId, userId: data.userId } } as const;
  const inserting =
    ownerId === data.userId
      ? insertRow(database, 'ChatMessage', data)
      : insertRowIf(database, 'ChatMessage', data, membership);
  const message = await orMissingReference(inserting, () => new NotFoundError());
  if (!message) {
    throw new NotFoundError();
  }
  return message;
}

/**
 * Changes the text of a message; the same text again changes nothing.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such message in a chat in which the viewer participates
 * @throws {AppError} `FORBIDDEN` unless the viewer sent it
 * @throws {ValidationError} when the text is empty or too long
 * @throws {ConflictError} when the message was deleted
 */
export async function updateMessage(context: Context, id: string | number, text: string): Promise<ChatMessage> {
  const found = await requireMessage(context, id);
  requirePermission(canEditMessage(context.viewer, found));
  const { message } = validate(newMessage, { message: text });
  const mentioned = await findMentioned(context, found.chatSessionId, message);
  return changeMessage(context, found, async (transaction, current) => {
    requirePresent(current);
    if (current.message === message) {
      return current;
    }
    await writeMentions(transaction, current, mentioned);
    return updateRow(transaction, 'ChatMessage', { id: current.id }, { message, editedAt: new Date() });
  });
}

/**
 * Deletes a message: it keeps its place in the chat, without its text. Deleting it again changes nothing.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such message in a chat in which the viewer participates
 * @throws {AppError} `FORBIDDEN` unless the viewer sent it or owns the chat
 */
export async function deleteMessage(context: Context, id: string | number): Promise<ChatMessage> {
  const found = await requireMessage(context, id);
  const chat = await loadChat(context, found.chatSessionId);
  requirePermission(chat !== undefined && canDeleteMessage(context.viewer, found, chat));
  return changeMessage(context, found, async (transaction, current) => {
    if (current.deletedAt !== null) {
      return current;
    }
    // Its reactions stay out of sight: their removal would be one event each. See listReactions.
    await writeMentions(transaction, current, []);
    return updateRow(transaction, 'ChatMessage', { id: current.id }, { message: '', deletedAt: new Date() });
  });
}

/**
 * Returns the message with this id.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such message in a chat in which the viewer participates
 */
export async function requireMessage(context: Context, id: string | number): Promise<ChatMessage> {
  requireUser(context.viewer);
  const message = await findMessage(context, id);
  if (!message) {
    throw new NotFoundError();
  }
  return message;
}

/** @throws {ConflictError} when the message was deleted */
export function requirePresent({ deletedAt }: ChatMessage): void {
  if (deletedAt !== null) {
    throw new ConflictError('The message was deleted.');
  }
}

/**
 * Changes a message or its details in a transaction in which nobody else changes it, and the viewer stays a participant.
 *
 * @throws {NotFoundError} when the message is gone, or the viewer no longer participates in its chat
 */
export async function changeMessage<Result>(
  { database, viewer }: Context,
  { id, chatSessionId }: ChatMessage,
  change: (transaction: Transaction, message: ChatMessage) => Promise<Result>,
): Promise<Result> {
  const { id: userId } = requireUser(viewer);
  return inTransaction(database, async (transaction) => {
    // An owner has no such row, and never leaves.
    await findLocked(transaction, 'ChatMember', { chatSessionId, userId });
    const message = await findLocked(transaction, 'ChatMessage', { AND: [{ id }, visibleMessages(viewer)] });
    if (!message) {
      throw new NotFoundError();
    }
    return change(transaction, message);
  });
}

/**
 * Signals to a chat that the viewer is typing.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat in which the viewer participates
 */
export async function setTyping(context: Context, uri: string): Promise<void> {
  const { id } = requireUser(context.viewer);
  const chat = await requireChat(context, uri);
  typingSignals(context).signal(chat.id, id);
}

/** The arguments of a page of messages: those of a connection, or `around`, the id of a message, with the size `first`. */
export interface MessagePageArguments extends PageArguments {
  readonly around?: string | null | undefined;
}

/**
 * Returns one page of the messages of a chat; empty when the viewer does not participate in it. The pages of several chats are read together.
 *
 * @throws {ValidationError} when `around` is not a message of the chat, or is given together with `after`, `before` or `last`
 */
export async function listMessages(
  context: Context,
  { id }: ChatSession,
  order: Order<keyof typeof MESSAGE_ORDERS>,
  { around, ...page }: MessagePageArguments,
): Promise<Page<ChatMessage>> {
  const visible = context.delivery ?? (await findChatById(context, id));
  const listing = {
    relation: { child: 'ChatMessage', parent: 'ChatSession', column: 'chatSessionId' },
    where: visible ? {} : { id: { in: [] } },
    columns: MESSAGE_ORDERS,
  } as const;
  if (around == null || !visible) {
    return readChildPage(context, listing, id, page, order);
  }
  if ([page.after, page.before, page.last].some((argument) => argument != null)) {
    throw invalidAround('Give around without after, before and last.');
  }
  const key = parseId(around);
  const row = key === null ? null : await loadMessage(context, key);
  if (row?.chatSessionId !== id) {
    throw invalidAround('There is no such message in this chat.');
  }
  return readChildPageAround(context, listing, id, { row, size: page.first ?? DEFAULT_PAGE_SIZE }, order);
}

function invalidAround(message: string): ValidationError {
  return new ValidationError([{ path: 'around', message }]);
}

/** Selects messages of a chat that were not deleted: those with an id above `afterId`, oldest first; at most `take`. */
export interface MessageRun {
  readonly chatId: number;
  readonly afterId: number;
  readonly take?: number;
}

/** Returns the ids of messages; none when the viewer does not participate in the chat. */
export function findMessageIds(context: Context, { take = 0, ...run }: MessageRun): Promise<number[]> {
  return findIds(context.database, 'ChatMessage', { ...messagesAfter(context, run), take });
}

/** Returns messages as JSON; none when the viewer does not participate in the chat. See {@link jsonOfRows}. */
export function messagesAsJson(
  context: Context,
  { take, ...run }: MessageRun,
  shape: JsonShape,
  layout: JsonLayout,
): AsyncIterable<string> {
  const visible = visibleMessages(context.viewer);
  const rows = { model: 'ChatMessage', shape, visible, ...(take !== undefined && { take }) } as const;
  const after = (last: ChatMessage | null) => messagesAfter(context, { ...run, afterId: last?.id ?? run.afterId });
  return jsonOfRows(context.database, rows, after, layout);
}

function messagesAfter({ viewer }: Context, { chatId, afterId }: MessageRun): RowQuery<'ChatMessage'> {
  return {
    where: { AND: [{ chatSessionId: chatId, id: { gt: afterId }, deletedAt: null }, visibleMessages(viewer)] },
    orderBy: [{ id: 'asc' }],
  };
}

/** Returns the message with this id if the viewer participates in its chat; batched. */
export function findMessage(context: Context, id: string | number): Promise<ChatMessage | undefined> {
  return findVisible(context, 'ChatMessage', id, visibleMessages(context.viewer));
}

/** Returns the message of an object that the viewer may see, such as the message that another one replies to; batched. */
export function loadMessage(context: Context, id: number): Promise<ChatMessage | null> {
  const { database, answer } = context;
  return loadRelated(context, 'ChatMessage', id, (ids) =>
    answer.read(() => findRows(database, 'ChatMessage', { where: { id: { in: ids } } })),
  ).then((message) => message ?? null);
}
