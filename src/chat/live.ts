import { Repeater, SlidingBuffer } from '@repeaterjs/repeater';
import { signedIn } from '../accounts/policy.ts';
import { participantKey } from '../changes/feed.ts';
import type { Change } from '../changes/log.ts';
import type { RowImage } from '../changes/models.ts';
import { type StreamEvent, type Watch, wantedIds, withStanding } from '../changes/watch.ts';
import type { Context } from '../context.ts';
import { matches } from '../database/where.ts';
import { NotFoundError } from '../errors.ts';
import { takesPart } from './policy.ts';

/**
 * The chats that the viewer takes part in, with who joins and leaves; with `uri` only this one, and then it ends when the viewer no longer
 * takes part. `resumes` says that the subscriber has seen some of it before, and is to be told of the end.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when the viewer takes part in no chat of that uri, unless it resumes
 */
export async function watchChats(context: Context, uri: string | null | undefined, resumes: boolean): Promise<Watch> {
  const { id: userId } = signedIn(context.viewer);
  await context.feed.catchUp();
  const only = uri == null ? null : await knownChat(context, uri);
  const present = (chatId: number): boolean => takesPart(context.viewer, context.feed.memberships, chatId);
  const gone = uri != null && (only === null || !present(only));
  if (gone && !resumes) {
    throw new NotFoundError();
  }
  return watchParticipation(context, userId, {
    concerns: (chatId, chat) => uri == null || chatId === only || (only === null && chat?.['uri'] === uri),
    endsWithRight: uri != null,
    finite: gone,
  });
}

/**
 * The same for clients that know chats by their ids; with `id` only this chat, in which the viewer need not take part yet.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function watchChatsById(context: Context, ids: { readonly id?: string | undefined }): Promise<Watch> {
  const { id: userId } = signedIn(context.viewer);
  await context.feed.catchUp();
  const wanted = wantedIds(ids)['id'];
  return watchParticipation(context, userId, {
    concerns: (chatId) => wanted === undefined || chatId === wanted,
    endsWithRight: false,
    finite: false,
  });
}

interface ChatsWanted {
  readonly concerns: (chatId: number, chat: RowImage | null) => boolean;
  /** Whether it ends when the viewer no longer takes part. */
  readonly endsWithRight: boolean;
  readonly finite: boolean;
}

function watchParticipation(
  { viewer, feed }: Context,
  userId: number,
  { concerns, endsWithRight, finite }: ChatsWanted,
): Watch {
  const { memberships } = feed;
  const present = (chatId: number): boolean => takesPart(viewer, memberships, chatId);

  // PostgreSQL tells of a chat before the members that go with it, SQLite after them; the viewer is told once.
  const gone = new Set<number>();

  const seen = (change: Change): StreamEvent | null => {
    const { cursor, rowId: id, before, after } = change;
    const had = before !== null && (before['ownerId'] === userId || memberships.isMember(id, userId));
    if (after !== null && present(id)) {
      return { action: had ? 'UPDATED' : 'CREATED', cursor, id, row: after };
    }
    if (!had) {
      return null;
    }
    gone.add(id);
    return { action: 'DELETED', cursor, id, row: null, last: endsWithRight };
  };
  const joinedOrLeft = ({ cursor, before, after }: Change, chatId: number): StreamEvent | null => {
    const row = memberships.chat(chatId) ?? null;
    const own = (before ?? after)?.['userId'] === userId && row?.['ownerId'] !== userId;
    if (own && after === null) {
      if (gone.has(chatId)) {
        return null;
      }
      return {
        action: 'DELETED',
        cursor,
        id: chatId,
        row: null,
        rightLost: true,
        last: endsWithRight && !present(chatId),
      };
    }
    return row && present(chatId) ? { action: own ? 'CREATED' : 'UPDATED', cursor, id: chatId, row } : null;
  };

  return withStanding({
    viewer,
    models: ['ChatSession', 'ChatMember'],
    keys: [participantKey(userId)],
    finite,
    translate: (change) => {
      const image = change.after ?? change.before;
      if (change.model === 'ChatSession') {
        return concerns(change.rowId, image) ? seen(change) : null;
      }
      const chatId = image?.['chatSessionId'] as number;
      return concerns(chatId, null) ? joinedOrLeft(change, chatId) : null;
    },
    mayStillSend: ({ row, id }) => row === null || present(id),
    hiddenNow: async (ids) => new Set(ids.filter((id) => !present(id))),
  });
}

/**
 * What is said in a chat; it ends when the viewer no longer takes part in it.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when the viewer takes part in no chat of that uri
 */
export async function watchMessages(context: Context, uri: string): Promise<Watch> {
  const { chatId, present } = await watchedChat(context, uri);
  return withStanding(watchTalk(context, chatId, present));
}

/**
 * What is said in a chat, for a client that is told of nothing else: so what is deleted by now is not told any more. `open` takes the uri as
 * enough, whoever the viewer is.
 *
 * @throws {UnauthenticatedError} for anonymous callers, unless `open`
 * @throws {NotFoundError} when there is no chat of that uri, or none in which the viewer takes part
 */
export async function watchSpoken(context: Context, uri: string, open: boolean): Promise<Watch> {
  const { chatId, present } = await (open ? openChat(context, uri) : watchedChat(context, uri));
  return {
    ...watchTalk(context, chatId, present),
    hiddenNow: async (ids) => {
      const rows = await context.database.chatMessage.findMany({
        where: { id: { in: [...ids] } },
        select: { id: true },
      });
      const there = new Set(rows.map(({ id }) => id));
      return new Set(ids.filter((id) => !there.has(id)));
    },
  };
}

/**
 * What is said in all chats that the viewer takes part in at the time, for clients that know messages and chats by their ids. A chat that is named
 * need not be one of them; `untilDenied` says that it must, and that the watch ends with that.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} with `untilDenied`, when the viewer does not take part in the chat that is named
 */
export async function watchMessagesById(
  context: Context,
  ids: { readonly id?: string; readonly chatSessionId?: string },
  untilDenied: boolean,
): Promise<Watch> {
  const { viewer, feed, database } = context;
  signedIn(viewer);
  await feed.catchUp();
  const wanted = wantedIds(ids);
  const { id, chatSessionId: chatId } = wanted;
  const mayRead = (row: Readonly<Record<string, unknown>>): boolean =>
    takesPart(viewer, feed.memberships, row['chatSessionId'] as number);
  if (untilDenied && chatId !== undefined && id === undefined) {
    const present = (): boolean => takesPart(viewer, feed.memberships, chatId);
    if (!present()) {
      throw new NotFoundError();
    }
    return watchTalk(context, chatId, present);
  }
  const has = (row: RowImage | null): row is RowImage => row !== null && matches(wanted, row) && mayRead(row);
  const [first] = Object.entries(wanted);
  return {
    viewer,
    models: ['ChatMessage'],
    keys: [first ? { model: 'ChatMessage', column: first[0], value: first[1] } : { model: 'ChatMessage' }],
    translate: ({ before, after, cursor, rowId }) => {
      if (has(after)) {
        return { action: has(before) ? 'UPDATED' : 'CREATED', cursor, id: rowId, row: after };
      }
      return has(before) ? { action: 'DELETED', cursor, id: rowId, row: null } : null;
    },
    mayStillSend: ({ row }) => row === null || mayRead(row),
    hiddenNow: async (messageIds) => {
      const rows = await database.chatMessage.findMany({
        where: { id: { in: [...messageIds] } },
        select: { id: true, chatSessionId: true },
      });
      return new Set(rows.filter((row) => !mayRead(row)).map((row) => row.id));
    },
  };
}

/** What is said in one chat, for as long as the viewer is `present`. */
function watchTalk({ viewer }: Context, chatId: number, present: () => boolean): Watch {
  const here = (row: RowImage | null): row is RowImage => row?.['chatSessionId'] === chatId;
  return {
    viewer,
    models: ['ChatMessage', 'ChatMember', 'ChatSession'],
    keys: [
      { model: 'ChatMessage', column: 'chatSessionId', value: chatId },
      { model: 'ChatMember', column: 'chatSessionId', value: chatId },
      { model: 'ChatSession', column: 'id', value: chatId },
    ],
    translate: ({ model, before, after, cursor, rowId: id }) => {
      if (!present()) {
        return 'end';
      }
      if (model !== 'ChatMessage') {
        return null;
      }
      if (here(after)) {
        return { action: here(before) ? 'UPDATED' : 'CREATED', cursor, id, row: after };
      }
      return here(before) ? { action: 'DELETED', cursor, id, row: null } : null;
    },
    foresee: () => (present() ? null : 'end'),
    mayStillSend: present,
    hiddenNow: async () => new Set(),
  };
}

/**
 * Who is typing in a chat, at every change; it ends when the viewer no longer takes part.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when the viewer takes part in no chat of that uri
 */
export async function watchTyping(
  context: Context,
  uri: string,
): Promise<AsyncIterable<{ userIds: readonly number[] }>> {
  const { viewer, feed, typing } = context;
  const { chatId } = await watchedChat(context, uri);
  const signals = new Repeater<{ userIds: readonly number[] }>(async (push, stop) => {
    const ignore = typing.listen(chatId, (userIds) => {
      push({ userIds }).catch(stop);
    });
    const forget = feed.listen(
      [
        { model: 'ChatMember', column: 'chatSessionId', value: chatId },
        { model: 'ChatSession', column: 'id', value: chatId },
      ],
      () => {
        if (!takesPart(viewer, feed.memberships, chatId)) {
          stop();
        }
      },
    );
    await stop;
    ignore();
    forget();
  }, new SlidingBuffer(1));
  return signals;
}

/** A chat in which the viewer takes part as far as the feed knows, which knows all that was committed before the call. */
async function watchedChat(context: Context, uri: string): Promise<{ chatId: number; present: () => boolean }> {
  signedIn(context.viewer);
  await context.feed.catchUp();
  const chatId = await knownChat(context, uri);
  const present = (): boolean => takesPart(context.viewer, context.feed.memberships, chatId ?? 0);
  if (chatId === null || !present()) {
    throw new NotFoundError();
  }
  return { chatId, present };
}

/** A chat whose uri is known, which is enough where the server says so. */
async function openChat(context: Context, uri: string): Promise<{ chatId: number; present: () => boolean }> {
  await context.feed.catchUp();
  const chatId = await knownChat(context, uri);
  const present = (): boolean => context.feed.memberships.chat(chatId ?? 0) !== undefined;
  if (chatId === null || !present()) {
    throw new NotFoundError();
  }
  return { chatId, present };
}

async function knownChat({ database }: Context, uri: string): Promise<number | null> {
  const chat = await database.chatSession.findUnique({ where: { uri }, select: { id: true } });
  return chat?.id ?? null;
}
