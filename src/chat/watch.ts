import { signedIn } from '../accounts/policy.ts';
import { hasSameRole, onRoleChange, withRoleBarrier } from '../accounts/role-barrier.ts';
import { userScope } from '../accounts/scopes.ts';
import type { RowChange, RowImage } from '../changes/change.ts';
import { type ChangeEvent, changeEvent, type Interest, type SubscriptionFilter } from '../changes/filter.ts';
import type { MembershipSet } from '../changes/memberships.ts';
import { SignalStream } from '../changes/signal-stream.ts';
import type { Context } from '../context.ts';
import { matches } from '../database/condition.ts';
import { findIds } from '../database/rows.ts';
import { AppError, NotFoundError } from '../errors.ts';
import { wantedIds } from '../validation.ts';
import type { UserViewer } from '../viewer.ts';
import { chatScope } from './slice.ts';
import { chatsOf, findChatId, joinedChat, openChat, type WatchedChat } from './watched-chat.ts';

/**
 * The chats that the viewer takes part in, with members who join and leave; with `uri` only this one, and then the subscription ends when the viewer no
 * longer takes part. `resumes` says that the subscriber has seen some of it before, and receives the event of the end.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when the viewer takes part in no chat of that uri, unless it resumes
 */
export async function watchChats(
  context: Context,
  uri: string | null | undefined,
  resumes: boolean,
): Promise<SubscriptionFilter> {
  const viewer = signedIn(context.viewer);
  const only = uri == null ? null : await findChatId(context, uri);
  const chats = await chatsOf(context.feed, viewer.id);
  const isGone = uri != null && (only === null || !chats.has(only));
  if (isGone && !resumes) {
    chats.release();
    throw new NotFoundError();
  }
  return participationFilter(viewer, chats, {
    only,
    concerns: (chatId, chat) => uri == null || chatId === only || (only === null && chat?.['uri'] === uri),
    endsWithAccess: uri != null,
    endsWhenCaughtUp: isGone,
  });
}

/**
 * The same for clients that know chats by their ids; with `id` only this chat, in which the viewer need not take part yet.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export async function watchChatsById(
  { viewer, feed }: Context,
  ids: { readonly id?: string | undefined },
): Promise<SubscriptionFilter> {
  const user = signedIn(viewer);
  const only = wantedIds(ids)['id'] ?? null;
  const chats = await chatsOf(feed, user.id);
  return participationFilter(user, chats, {
    only,
    concerns: (chatId) => only === null || chatId === only,
    endsWithAccess: false,
    endsWhenCaughtUp: false,
  });
}

interface Participation {
  /** The one chat that it is about; null for all. */
  readonly only: number | null;
  readonly concerns: (chatId: number, chat: RowImage | null) => boolean;
  /** Whether the subscription ends when the viewer no longer takes part. */
  readonly endsWithAccess: boolean;
  readonly endsWhenCaughtUp: boolean;
}

const CHAT_MODELS = ['ChatSession', 'ChatMember'] as const;

function participationFilter(
  viewer: UserViewer,
  chats: MembershipSet,
  { only, concerns, endsWithAccess, endsWhenCaughtUp }: Participation,
): SubscriptionFilter {
  const { id: userId } = viewer;

  /** Chats whose deletion was sent: the log holds those of their members as well, on SQLite before it and on PostgreSQL after it. */
  const deleted = new Set<number>();

  const onChat = (change: RowChange): ChangeEvent | null => {
    const { rowId: id, before, after } = change;
    const isMember = chats.has(id, 'ChatMember');
    if (before === null && isMember) {
      // The viewer's membership is an event of its own.
      return null;
    }
    const had = before?.['ownerId'] === userId || isMember;
    if (after !== null && chats.has(id)) {
      return changeEvent(change, { action: had ? 'UPDATED' : 'CREATED', id, row: after });
    }
    if (!had || deleted.has(id)) {
      return null;
    }
    deleted.add(id);
    return changeEvent(change, { action: 'DELETED', id, row: null, isLast: endsWithAccess });
  };
  const onMember = (change: RowChange, id: number): ChangeEvent | null => {
    const { before, after } = change;
    const isOwn = (before ?? after)?.['userId'] === userId && !chats.has(id, 'ChatSession');
    if (isOwn && after === null) {
      const isLast = endsWithAccess && !chats.has(id);
      return deleted.has(id)
        ? null
        : changeEvent(change, { action: 'DELETED', id, row: null, isRightLost: true, isLast });
    }
    return chats.has(id) ? changeEvent(change, { action: isOwn ? 'CREATED' : 'UPDATED', id, row: 'current' }) : null;
  };
  const interestsIn = (scope: string): Interest[] => CHAT_MODELS.map((model) => ({ model, scope }));

  return withRoleBarrier({
    viewer,
    key: null,
    interests: () => [
      ...interestsIn(userScope(userId)),
      ...(only === null ? chats.ids() : [only]).flatMap((id) => interestsIn(chatScope(id))),
    ],
    toEvent: (change) => {
      const image = change.after ?? change.before;
      if (change.model === 'ChatSession') {
        return concerns(change.rowId, image) ? onChat(change) : null;
      }
      const chatId = image?.['chatSessionId'] as number;
      return concerns(chatId, null) ? onMember(change, chatId) : null;
    },
    accessScopes: [],
    hasAccess: () => true,
    endsWhenCaughtUp,
    mayReceive: ({ row, id }) => row === null || chats.has(id),
    release: chats.release,
  });
}

/**
 * The messages of a chat; the subscription ends when the viewer no longer takes part in it.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when the viewer takes part in no chat of that uri
 */
export async function watchMessages(context: Context, uri: string): Promise<SubscriptionFilter> {
  return messageFilter(context, await joinedChat(context, await findChatId(context, uri)));
}

/**
 * The same for a client that receives nothing but new messages: those that are deleted by now are left out. `isOpen` takes the uri as enough,
 * whoever the viewer is, as long as it is the uri of the chat.
 *
 * @throws {UnauthenticatedError} for anonymous callers, unless `isOpen`
 * @throws {NotFoundError} when there is no chat of that uri, or none in which the viewer takes part
 */
export async function watchNewMessages(context: Context, uri: string, isOpen: boolean): Promise<SubscriptionFilter> {
  return {
    ...messageFilter(
      context,
      await (isOpen ? openChat(context, uri) : joinedChat(context, await findChatId(context, uri))),
    ),
    hiddenNow: async (ids) => {
      const where = { id: { in: [...ids] } };
      const present = new Set(await findIds(context.database, 'ChatMessage', { where }));
      return new Set(ids.filter((id) => !present.has(id)));
    },
  };
}

/**
 * The messages of all chats that the viewer takes part in at the time, for clients that know messages and chats by their ids. A chat that is named
 * need not be one of them; `untilDenied` says that it must, and that the subscription ends with that.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} with `untilDenied`, when the viewer does not take part in the chat that is named
 */
export async function watchMessagesById(
  context: Context,
  ids: { readonly id?: string; readonly chatSessionId?: string },
  untilDenied: boolean,
): Promise<SubscriptionFilter> {
  const viewer = signedIn(context.viewer);
  const wanted = wantedIds(ids);
  const { id, chatSessionId } = wanted;
  if (untilDenied && chatSessionId !== undefined && id === undefined) {
    return messageFilter(context, await joinedChat(context, chatSessionId));
  }
  const chats = await chatsOf(context.feed, viewer.id);
  const isHere = (row: RowImage): boolean => chats.has(row['chatSessionId'] as number);
  const where = id === undefined ? {} : { where: { column: 'id', value: id } };
  return withRoleBarrier({
    viewer,
    key: null,
    interests: () =>
      (chatSessionId === undefined ? chats.ids() : [chatSessionId]).map((chatId) => ({
        model: 'ChatMessage',
        scope: chatScope(chatId),
        ...where,
      })),
    toEvent: (change) => messageEvent(change, (row) => row !== null && matches(wanted, row) && isHere(row)),
    accessScopes: [userScope(viewer.id)],
    hasAccess: () => true,
    mayReceive: ({ row }) => row === null || (row !== 'current' && isHere(row)),
    release: chats.release,
  });
}

function messageFilter({ viewer }: Context, { chatId, hasAccess, release }: WatchedChat): SubscriptionFilter {
  const scope = chatScope(chatId);
  return withRoleBarrier({
    viewer,
    key: `ChatMessage ${scope}`,
    interests: () => [{ model: 'ChatMessage', scope }],
    toEvent: (change) => messageEvent(change, (row) => row?.['chatSessionId'] === chatId),
    accessScopes: [scope],
    hasAccess,
    mayReceive: hasAccess,
    release,
  });
}

function messageEvent(change: RowChange, has: (row: RowImage | null) => boolean): ChangeEvent | null {
  const { before, after, rowId: id } = change;
  if (after !== null && has(after)) {
    return changeEvent(change, { action: has(before) ? 'UPDATED' : 'CREATED', id, row: after });
  }
  return has(before) ? changeEvent(change, { action: 'DELETED', id, row: null }) : null;
}

/**
 * Who is typing in a chat, at every change; the subscription ends when the viewer no longer takes part, and with `RESYNC_REQUIRED` when their role changes,
 * since staff see more of the users.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when the viewer takes part in no chat of that uri
 */
export async function watchTyping(context: Context, uri: string): Promise<SignalStream> {
  const { feed, typing } = context;
  const viewer = signedIn(context.viewer);
  const { chatId, hasAccess, release } = await joinedChat(context, await findChatId(context, uri));
  const stops = [release];
  const stream = new SignalStream(feed.loop, viewer, hasAccess, () => {
    for (const stop of stops) {
      stop();
    }
  });
  stops.push(feed.onAccess([chatScope(chatId)], () => stream.checkAccess()));
  const endByRole = (): void => stream.fail(new AppError('RESYNC_REQUIRED'));
  stops.push(onRoleChange(feed, viewer, endByRole));
  stops.push(await typing.listen(chatId, (signal) => stream.push(signal)));
  // The role may have changed before the listener was there, and access may have ended while that was awaited.
  if (!(await hasSameRole(context.database, viewer))) {
    endByRole();
  }
  stream.checkAccess();
  return stream;
}
