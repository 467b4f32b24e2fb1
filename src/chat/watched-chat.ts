import { signedIn } from '../accounts/policy.ts';
import type { MembershipSet } from '../changes/memberships.ts';
import type { Context } from '../context.ts';
import { findRow } from '../database/rows.ts';
import { NotFoundError } from '../errors.ts';
import { CHAT, chatScope } from './slice.ts';

/** A chat whose messages somebody receives. */
export interface WatchedChat {
  readonly chatId: number;
  readonly hasAccess: () => boolean;
  readonly release: () => void;
}

/**
 * A chat in which the viewer takes part, as far as the feed knows at this moment.
 *
 * @throws {NotFoundError} when the viewer does not, or when there is no chat
 */
export async function joinedChat({ viewer, feed }: Context, chatId: number | null): Promise<WatchedChat> {
  const { id } = signedIn(viewer);
  if (chatId === null) {
    throw new NotFoundError();
  }
  const [members] = await Promise.all([feed.memberships.useGroup(CHAT, chatId), feed.refresh()]);
  const hasAccess = (): boolean => members.has(id);
  if (!hasAccess()) {
    members.release();
    throw new NotFoundError();
  }
  return { chatId, hasAccess, release: members.release };
}

/**
 * A chat whose uri is enough, where the server says so: as long as it is the uri of the chat.
 *
 * @throws {NotFoundError} when no chat has it
 */
export async function openChat(context: Context, uri: string): Promise<WatchedChat> {
  const chatId = await findChatId(context, uri);
  if (chatId === null) {
    throw new NotFoundError();
  }
  let hasUri = true;
  const release = context.feed.onAccess([chatScope(chatId)], (change) => {
    // Without a change, some of them are lost.
    hasUri &&= change !== null && (change.model !== 'ChatSession' || change.after?.['uri'] === uri);
  });
  try {
    // The uri may have been renewed before the feed reported that to the listener.
    hasUri &&= (await findChatId(context, uri)) === chatId;
  } catch (error) {
    release();
    throw error;
  }
  return { chatId, hasAccess: () => hasUri, release };
}

/** The chats of a user, those included that were joined just before the call. */
export async function chatsOf(feed: Context['feed'], userId: number): Promise<MembershipSet> {
  const [chats] = await Promise.all([feed.memberships.useUser(CHAT, userId), feed.refresh()]);
  return chats;
}

/** The id of the chat with this uri, whoever may see it. */
export async function findChatId({ database }: Context, uri: string): Promise<number | null> {
  const chat = await findRow(database, 'ChatSession', { uri });
  return chat?.id ?? null;
}
