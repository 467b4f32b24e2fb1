import { z } from 'zod';
import { signedIn } from '../accounts/policy.ts';
import type { Context } from '../context.ts';
import { findBatched } from '../database/batch.ts';
import { readChildPage } from '../database/child-pages.ts';
import { orGone } from '../database/failures.ts';
import { jsonOfRows } from '../database/json-rows.ts';
import type { JsonLayout, JsonShape } from '../database/json-sql.ts';
import type { Order, OrderColumns, Page, PageArguments } from '../database/page.ts';
import { findIds, findRows, insertRow, insertRowIf } from '../database/rows.ts';
import type { RowQuery } from '../database/select-sql.ts';
import { NotFoundError } from '../errors.ts';
import type { ChatMessage, ChatSession } from '../generated/client/client.ts';
import { text, validate } from '../validation.ts';
import { visibleMessages } from './policy.ts';
import { findChatById, participatedChat } from './service.ts';

const MAX_MESSAGE = 2000;

export const MESSAGE_ORDERS = { id: 'number' } as const satisfies OrderColumns;

export const newMessage = z.object({ message: text(MAX_MESSAGE, { trim: false }) });

/**
 * Says something in a chat.
 *
 * @throws {NotFoundError} when the viewer takes part in no such chat
 * @throws {ValidationError} when the message is empty or too long
 */
export async function sendMessage(context: Context, uri: string, text: string): Promise<ChatMessage> {
  const { id } = signedIn(context.viewer);
  const chat = await participatedChat(context, uri);
  const values = validate(newMessage, { message: text });
  const said = { ...values, chatSessionId: chat.id, userId: id };
  // The owner stays as long as the chat does; a member may be removed at this very moment.
  const membership = { model: 'ChatMember', where: { chatSessionId: chat.id, userId: id } } as const;
  const made =
    chat.ownerId === id
      ? insertRow(context.database, 'ChatMessage', said)
      : insertRowIf(context.database, 'ChatMessage', said, membership);
  const message = await orGone(made, () => new NotFoundError());
  if (!message) {
    throw new NotFoundError();
  }
  return message;
}

/**
 * Tells a chat that the viewer is typing.
 *
 * @throws {NotFoundError} when the viewer takes part in no such chat
 */
export async function setTyping(context: Context, uri: string): Promise<void> {
  const { id } = signedIn(context.viewer);
  const chat = await participatedChat(context, uri);
  context.typing.signal(chat.id, id);
}

/** One page of what was said in a chat; empty when the viewer does not take part in it. Pages of many chats are read together. */
export async function listMessages(
  context: Context,
  { id }: ChatSession,
  order: Order<keyof typeof MESSAGE_ORDERS>,
  page: PageArguments,
): Promise<Page<ChatMessage>> {
  const visible = context.delivery ?? (await findChatById(context, id));
  return readChildPage(
    context,
    {
      relation: { child: 'ChatMessage', parent: 'ChatSession', column: 'chatSessionId' },
      where: visible ? {} : { id: { in: [] } },
      columns: MESSAGE_ORDERS,
    },
    id,
    page,
    order,
  );
}

/** Which messages of a chat: those with an id above this one, oldest first, and how many of them. */
export interface MessageRun {
  readonly chatId: number;
  readonly afterId: number;
  readonly take?: number;
}

/** The ids of messages; none when the viewer does not take part in the chat. */
export function findMessageIds(context: Context, { take = 0, ...run }: MessageRun): Promise<number[]> {
  return findIds(context.database, 'ChatMessage', { ...messagesAfter(context, run), take });
}

/** Messages as JSON, see {@link jsonOfRows}; none when the viewer does not take part in the chat. */
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

/** The message with this id, when the viewer takes part in its chat; batched. */
export function findMessage(context: Context, id: string | number): Promise<ChatMessage | undefined> {
  const { database, viewer } = context;
  return findBatched(context, 'ChatMessage', id, (ids) =>
    findRows(database, 'ChatMessage', { where: { AND: [{ id: { in: ids } }, visibleMessages(viewer)] } }),
  );
}
