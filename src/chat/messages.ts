import { z } from 'zod';
import { signedIn } from '../accounts/policy.ts';
import type { Context } from '../context.ts';
import { byId, findBatched } from '../database/batch.ts';
import { readChildPage } from '../database/child-pages.ts';
import type { Order, OrderColumns, Page, PageArguments } from '../database/page.ts';
import { findRows, insertRow } from '../database/rows.ts';
import type { ChatMessage, ChatSession, User } from '../generated/client/client.ts';
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
export async function sendMessage(context: Context, uri: string, message: string): Promise<ChatMessage> {
  const { id } = signedIn(context.viewer);
  const chat = await participatedChat(context, uri);
  const values = validate(newMessage, { message });
  return insertRow(context.database, 'ChatMessage', { ...values, chatSessionId: chat.id, userId: id });
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

/** The messages of a chat with an id above this one, oldest first, with who said them; none when the viewer does not take part. */
export async function messagesAfter(
  { database, viewer }: Context,
  chatId: number,
  id: number,
  take: number,
): Promise<(ChatMessage & { user: User })[]> {
  const messages = await findRows(database, 'ChatMessage', {
    where: { AND: [{ chatSessionId: chatId, id: { gt: id } }, visibleMessages(viewer)] },
    orderBy: [{ id: 'asc' }],
    take,
  });
  const authors = [...new Set(messages.map(({ userId }) => userId))];
  const users = byId(await findRows(database, 'User', { where: { id: { in: authors } } }));
  return messages.flatMap((message) => {
    const user = users.get(message.userId);
    return user ? [{ ...message, user }] : [];
  });
}

/** The message with this id, when the viewer takes part in its chat; batched. */
export function findMessage(context: Context, id: string | number): Promise<ChatMessage | undefined> {
  const { database, viewer } = context;
  return findBatched(context, 'ChatMessage', id, (ids) =>
    findRows(database, 'ChatMessage', { where: { AND: [{ id: { in: ids } }, visibleMessages(viewer)] } }),
  );
}
