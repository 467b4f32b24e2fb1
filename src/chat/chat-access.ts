import type { MembershipSet } from '../changes/memberships.ts';
import type { Context } from '../context.ts';
import { findRow } from '../database/rows.ts';
import { NotFoundError } from '../errors.ts';
import { requireUser } from '../identity/rights.ts';
import { CHAT, chatScope } from './scopes.ts';

/** The access of a subscriber to one chat, for as long as the subscription lasts. */
export interface ChatAccess {
  readonly chatId: number;
  readonly hasAccess: () => boolean;
  readonly release: () => void;
}

/**
 * Returns the access of the viewer as a participant. It ends when the viewer no longer participates.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat in which the viewer participates
 */
export async function accessOfParticipant({ viewer, feed }: Context, chatId: number | null): Promise<ChatAccess> {
  const { id } = requireUser(viewer);
  if (chatId === null) {
    throw new NotFoundError();
  }
  const [participants] = await Promise.all([feed.memberships.useGroup(CHAT, chatId), feed.refresh()]);
  const hasAccess = (): boolean => participants.has(id);
  if (!hasAccess()) {
    participants.release();
    throw new NotFoundError();
  }
  return { chatId, hasAccess, release: participants.release };
}

/**
 * Returns the access of a caller by the uri alone, for servers with `CHAT_SOCKET_OPEN`. It ends when the chat gets another uri.
 *
 * @throws {NotFoundError} when no chat has the uri
 */
export async function accessByUri(context: Context, uri: string): Promise<ChatAccess> {
  const chatId = await findChatId(context, uri);
  if (chatId === null) {
    throw new NotFoundError();
  }
  let hasUri = true;
  const release = context.feed.onAccess([chatScope(chatId)], (change) => {
    // Null stands for changes that were lost.
    hasUri &&= change !== null && (change.model !== 'ChatSession' || change.after?.['uri'] === uri);
  });
  try {
    // The uri may have been renewed before the listener was registered.
    hasUri &&= (await findChatId(context, uri)) === chatId;
  } catch (error) {
    release();
    throw error;
  }
  return { chatId, hasAccess: () => hasUri, release };
}

/** Returns the chats in which a user participates, including those that the user joined just before the call. */
export async function useChatsOf(feed: Context['feed'], userId: number): Promise<MembershipSet> {
  const [chats] = await Promise.all([feed.memberships.useUser(CHAT, userId), feed.refresh()]);
  return chats;
}

/** Returns the id of the chat with this uri, whether or not the viewer may see it. */
export async function findChatId({ database }: Context, uri: string): Promise<number | null> {
  const chat = await findRow(database, 'ChatSession', { uri });
  return chat?.id ?? null;
}
