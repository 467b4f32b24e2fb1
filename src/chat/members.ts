import type { Context } from '../context.ts';
import type { Transaction } from '../database/client.ts';
import type { Condition } from '../database/condition.ts';
import { orMissingReference } from '../database/failures.ts';
import { findIds, findLocked, findRow, findRows } from '../database/rows.ts';
import { inTransaction } from '../database/transactions.ts';
import { ConflictError, NotFoundError, ValidationError } from '../errors.ts';
import type { ChatSession, User } from '../generated/client/client.ts';
import { requirePermission, requireUser } from '../identity/rights.ts';
import { usernameKey } from '../identity/usernames.ts';
import type { Viewer } from '../viewer.ts';
import { addableUsers, canManageChat, joinableChats, visibleChats } from './policy.ts';
import { requireChat } from './service.ts';

/** How many users one call may add. */
const MAX_ADDED = 100;
/** How many members a chat may have, in addition to its owner. */
const MAX_MEMBERS = 1000;

const UNKNOWN = 'User does not exist.';
const NOT_ADDABLE = 'This user can be added only by people who share a chat with them.';

/**
 * Makes the viewer a member of the chat with this uri; for a participant it changes nothing.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat, and when the viewer was removed from it
 * @throws {ConflictError} when it is full
 */
export function joinChat(context: Context, uri: string): Promise<ChatSession> {
  const { viewer } = context;
  const { id } = requireUser(viewer);
  return changeMembers(context, { AND: [{ uri }, joinableChats(viewer)] }, async (transaction, chat) => {
    await insertMembers(transaction, chat, [id]);
    return chat;
  });
}

/**
 * Makes other users members, also users who were removed before; for participants it changes nothing.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat in which the viewer participates
 * @throws {ValidationError} naming every user who does not exist, is not active or may not be added by the viewer
 * @throws {ConflictError} when the chat would have too many members; then nobody is added
 */
export async function addChatMembers(
  context: Context,
  uri: string,
  usernames: readonly string[],
): Promise<ChatSession> {
  const { chat } = await addUsers(context, uri, usernames, (index) => `usernames.${index}`);
  return chat;
}

/** Makes another user a member, as {@link addChatMembers} does. Returns that user. */
export async function addChatMember(context: Context, uri: string, username: string): Promise<User> {
  const { users } = await addUsers(context, uri, [username], () => 'username');
  return users[0] as User;
}

/**
 * Removes another user from the chat and keeps them from joining by its uri until a participant adds them again. It works for users who are not members, too,
 * so that nobody avoids it by leaving first. Removing oneself is the same as leaving.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat in which the viewer participates, or no user with that name
 * @throws {AppError} `FORBIDDEN` unless the viewer owns the chat or is that user
 * @throws {ConflictError} for the owner of the chat
 */
export async function removeChatMember(context: Context, uri: string, username: string): Promise<ChatSession> {
  const viewer = requireUser(context.viewer);
  const chat = await requireChat(context, uri);
  const user = await findRow(context.database, 'User', { usernameKey: usernameKey(username) });
  if (!user) {
    throw new NotFoundError();
  }
  if (user.id === viewer.id) {
    return leaveChat(context, uri);
  }
  requirePermission(canManageChat(viewer, chat));
  return changeMembers(context, { id: chat.id }, async (transaction, found) => {
    const removal = { chatSessionId: found.id, userId: user.id };
    await endMembership(transaction, removal);
    await transaction.chatRemoval.upsert({ where: { chatSessionId_userId: removal }, create: removal, update: {} });
    return found;
  });
}

/**
 * Ends the membership of the viewer, who may join again.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such chat in which the viewer participates
 * @throws {ConflictError} for the owner, who cannot leave
 */
export async function leaveChat(context: Context, uri: string): Promise<ChatSession> {
  const { id } = requireUser(context.viewer);
  const chat = await requireChat(context, uri);
  if (chat.ownerId === id) {
    throw new ConflictError('The owner of a chat cannot leave it.');
  }
  await inTransaction(context.database, (transaction) =>
    endMembership(transaction, { chatSessionId: chat.id, userId: id }),
  );
  return chat;
}

/** Deletes a membership and, after it, the read mark: a mark that is set meanwhile locks the membership. */
async function endMembership(
  { chatMember, chatReadMark }: Transaction,
  where: { readonly chatSessionId: number; readonly userId: number },
): Promise<void> {
  await chatMember.deleteMany({ where });
  await chatReadMark.deleteMany({ where });
}

async function addUsers(
  context: Context,
  uri: string,
  usernames: readonly string[],
  pathOf: (index: number) => string,
): Promise<{ chat: ChatSession; users: readonly User[] }> {
  const { viewer } = context;
  requireUser(viewer);
  return changeMembers(context, { AND: [{ uri }, visibleChats(viewer)] }, async (transaction, chat) => {
    const users = await findAddable(transaction, viewer, usernames, pathOf);
    const ids = users.map(({ id }) => id);
    await insertMembers(transaction, chat, ids);
    await transaction.chatRemoval.deleteMany({ where: { chatSessionId: chat.id, userId: { in: ids } } });
    return { chat, users };
  });
}

/** @throws {ValidationError} naming every user whom the viewer cannot add */
async function findAddable(
  transaction: Transaction,
  viewer: Viewer,
  usernames: readonly string[],
  pathOf: (index: number) => string,
): Promise<readonly User[]> {
  if (usernames.length > MAX_ADDED) {
    throw new ValidationError([
      { path: 'usernames', message: `Ensure this field has no more than ${MAX_ADDED} elements.` },
    ]);
  }
  const keys = usernames.map(usernameKey);
  const known = { usernameKey: { in: keys }, isActive: true };
  const users = new Map(
    (await findRows(transaction, 'User', { where: known })).map((user) => [user.usernameKey, user]),
  );
  const addable = new Set(await findIds(transaction, 'User', { where: { AND: [known, addableUsers(viewer)] } }));
  const problems = keys.flatMap((key, index) => {
    const user = users.get(key);
    return user && addable.has(user.id) ? [] : [{ path: pathOf(index), message: user ? NOT_ADDABLE : UNKNOWN }];
  });
  if (problems.length > 0) {
    throw new ValidationError(problems);
  }
  return keys.flatMap((key) => users.get(key) ?? []);
}

/**
 * Changes the members of the chat that fulfils a condition. The transactions for one chat run one after the other, so that each sees the result of the
 * one before.
 *
 * @throws {NotFoundError} when there is no such chat, or when a user or the chat is deleted at the same time
 */
async function changeMembers<Result>(
  { database }: Context,
  where: Condition<'ChatSession'>,
  change: (transaction: Transaction, chat: ChatSession) => Promise<Result>,
): Promise<Result> {
  // First without a transaction, which would block all other writers on SQLite.
  if (!(await findRow(database, 'ChatSession', where))) {
    throw new NotFoundError();
  }
  const changing = inTransaction(database, async (transaction) => {
    const chat = await findLocked(transaction, 'ChatSession', where);
    if (!chat) {
      throw new NotFoundError();
    }
    return change(transaction, chat);
  });
  return orMissingReference(changing, () => new NotFoundError());
}

/** @throws {ConflictError} when the chat would have too many members */
async function insertMembers(transaction: Transaction, chat: ChatSession, userIds: readonly number[]) {
  const { chatMember } = transaction;
  const members = await chatMember.findMany({ where: { chatSessionId: chat.id }, select: { userId: true } });
  const present = new Set([chat.ownerId, ...members.map(({ userId }) => userId)]);
  const joining = [...new Set(userIds)].filter((id) => !present.has(id));
  if (members.length + joining.length > MAX_MEMBERS) {
    throw new ConflictError(`A chat can have at most ${MAX_MEMBERS} members.`);
  }
  if (joining.length > 0) {
    const where = { chatSessionId: chat.id };
    const [newest] = await findRows(transaction, 'ChatMessage', { where, orderBy: [{ id: 'desc' }], take: 1 });
    await chatMember.createMany({
      data: joining.map((userId) => ({ ...where, userId, joinedAfter: newest?.id ?? 0 })),
    });
  }
}
