import { z } from 'zod';
import type { Context } from '../context.ts';
import { readChildPage } from '../database/child-pages.ts';
import { orMissingReference } from '../database/failures.ts';
import { jsonOfRows } from '../database/json-rows.ts';
import type { JsonLayout, JsonShape } from '../database/json-sql.ts';
import type { Order, OrderColumns, Page, PageArguments } from '../database/page.ts';
import { findIds, insertRow, insertRowIf } from '../database/rows.ts';
import type { RowQuery } from '../database/select-sql.ts';
import { NotFoundError } from '../errors.ts';
import type { ChatMessage, ChatSession } from '../generated/client/client.ts';
import { requireUser } from '../identity/rights.ts';
import { findVisible } from '../identity/visible-rows.ts';
import { text, validate } from '../validation.ts';
import { visibleMessages } from './policy.ts';
import { findChatById, requireChat } from './service.ts';
import { typingSignals } from './typing.ts';

const MAX_MESSAGE = 2000;

export const MESSAGE_ORDERS = { id: 'number' } as const satisfies OrderColumns;

export const newMessage = z.object({ message: text(MAX_MESSAGE, { trim: false }) });

/**
 * Sends a message to a chat.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat in which the viewer participates
 * @throws {ValidationError} when the message is empty or too long
 */
export async function sendMessage(context: Context, uri: string, text: string): Promise<ChatMessage> {
  const { id } = requireUser(context.viewer);
  const chat = await requireChat(context, uri);
  const data = { ...validate(newMessage, { message: text }), chatSessionId: chat.id, userId: id };
  // An owner never leaves, but a member may be removed before the message is inserted.
  const membership = { model: 'ChatMember', where: { chatSessionId: chat.id, userId: id } } as const;
  const inserting =
    chat.ownerId === id
      ? insertRow(context.database, 'ChatMessage', data)
      : insertRowIf(context.database, 'ChatMessage', data, membership);
  const message = await orMissingReference(inserting, () => new NotFoundError());
  if (!message) {
    throw new NotFoundError();
  }
  return message;
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

/** Returns one page of the messages of a chat; empty when the viewer does not participate in it. The pages of several chats are read together. */
export async function listMessages(
  context: Context,
  { id }: ChatSession,
  order: Order<keyof typeof MESSAGE_ORDERS>,
  page: PageArguments,
): Promise<Page<ChatMessage>> {
  const visible = context.delivery ?? (await findChatById(context, id));
  const listing = {
    relation: { child: 'ChatMessage', parent: 'ChatSession', column: 'chatSessionId' },
    where: visible ? {} : { id: { in: [] } },
    columns: MESSAGE_ORDERS,
  } as const;
  return readChildPage(context, listing, id, page, order);
}

/** Selects messages of a chat: those with an id above `afterId`, oldest first; at most `take`. */
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
    where: { AND: [{ chatSessionId: chatId, id: { gt: afterId } }, visibleMessages(viewer)] },
    orderBy: [{ id: 'asc' }],
  };
}

/** Returns the message with this id if the viewer participates in its chat; batched. */
export function findMessage(context: Context, id: string | number): Promise<ChatMessage | undefined> {
  return findVisible(context, 'ChatMessage', id, visibleMessages(context.viewer));
}
