import { z } from 'zod';
import type { Context } from '../context.ts';
import { inChunks, loadRelated } from '../database/batch.ts';
import type { Transaction } from '../database/client.ts';
import { type ChildGroup, groupChildren } from '../database/rows.ts';
import { ConflictError, ValidationError } from '../errors.ts';
import type { ChatMessage, User } from '../generated/client/client.ts';
import { loadUser } from '../identity/named-users.ts';
import { requireUser } from '../identity/rights.ts';
import { validate } from '../validation.ts';
import { isViewer } from '../viewer.ts';
import { changeMessage, requireMessage, requirePresent } from './messages.ts';

/** How many different emojis the reactions to one message have. */
const MAX_EMOJIS = 20;
/** How many reactions one user adds to one message. */
const MAX_REACTIONS_OF_USER = 10;
/** How many reactions one message has, of all users. */
const MAX_REACTIONS = 2_000;
/** How many users `ChatReactionGroup.users` returns. */
export const MAX_REACTING_USERS = 100;
/** How many messages have their reactions read by one statement. */
const MESSAGES_PER_STATEMENT = 100;

/** More UTF-16 units than any emoji has, so that no long text is compared. */
const MAX_EMOJI_LENGTH = 64;
/** Unicode's selector of the colourful presentation, which some keyboards leave out behind characters like ❤. */
const EMOJI_PRESENTATION = '\u{FE0F}';
// biome-ignore lint/complexity/useRegexLiterals: TypeScript accepts this flag in a literal only for targets beyond Node 20.
const EMOJI = new RegExp('^\\p{RGI_Emoji}$', 'v');

const newReaction = z.object({
  emoji: z
    .string()
    .transform((emoji) => (isEmoji(`${emoji}${EMOJI_PRESENTATION}`) ? `${emoji}${EMOJI_PRESENTATION}` : emoji))
    .refine(isEmoji, { error: 'Enter exactly one emoji.' }),
});

function isEmoji(text: string): boolean {
  return text.length <= MAX_EMOJI_LENGTH && EMOJI.test(text);
}

/**
 * Adds a reaction of the viewer to a message; it changes nothing when the viewer has reacted with that emoji already.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such message in a chat in which the viewer participates
 * @throws {ValidationError} unless `emoji` is one emoji
 * @throws {ConflictError} when the message was deleted, or has too many reactions
 */
export async function addReaction(context: Context, id: string | number, emoji: string): Promise<ChatMessage> {
  const { id: userId } = requireUser(context.viewer);
  const found = await requireMessage(context, id);
  const reaction = { messageId: found.id, userId, ...validate(newReaction, { emoji }) };
  return changeMessage(context, found, async (transaction, message) => {
    requirePresent(message);
    if (!(await transaction.chatReaction.findFirst({ where: reaction }))) {
      await requireRoom(transaction, reaction);
      await transaction.chatReaction.create({ data: { ...reaction, chatSessionId: message.chatSessionId } });
    }
    return message;
  });
}

/**
 * Removes a reaction of the viewer; it changes nothing when there is none with that emoji.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {NotFoundError} when there is no such message in a chat in which the viewer participates
 * @throws {ValidationError} unless `emoji` is one emoji
 * @throws {ConflictError} when the message was deleted
 */
export async function removeReaction(context: Context, id: string | number, emoji: string): Promise<ChatMessage> {
  const { id: userId } = requireUser(context.viewer);
  const message = await requireMessage(context, id);
  requirePresent(message);
  const where = { messageId: message.id, userId, ...validate(newReaction, { emoji }) };
  await context.database.chatReaction.deleteMany({ where });
  return message;
}

/** @throws {ConflictError} when the limits of reactions do not allow another one. The message is locked, so that no other is added at the same time. */
async function requireRoom(
  { chatReaction }: Transaction,
  { messageId, userId, emoji }: { readonly messageId: number; readonly userId: number; readonly emoji: string },
): Promise<void> {
  const emojis = await chatReaction.groupBy({ by: ['emoji'], where: { messageId }, _count: true });
  if (emojis.length >= MAX_EMOJIS && !emojis.some((group) => group.emoji === emoji)) {
    throw new ConflictError(`A message can have reactions with at most ${MAX_EMOJIS} different emojis.`);
  }
  if (emojis.reduce((sum, group) => sum + group._count, 0) >= MAX_REACTIONS) {
    throw new ConflictError(`A message can have at most ${MAX_REACTIONS} reactions.`);
  }
  if ((await chatReaction.count({ where: { messageId, userId } })) >= MAX_REACTIONS_OF_USER) {
    throw new ConflictError(`A user can add at most ${MAX_REACTIONS_OF_USER} reactions to a message.`);
  }
}

/** The reactions to a message with one emoji. */
export interface ReactionGroup {
  readonly emoji: string;
  /** The users who reacted, in the order in which they did. */
  readonly userIds: readonly number[];
}

/** Returns the reactions to a message that the viewer may see, by emoji in the order of their first use; batched. */
export async function listReactions(context: Context, message: ChatMessage): Promise<readonly ReactionGroup[]> {
  if (message.deletedAt !== null) {
    return [];
  }
  const { database, answer } = context;
  const found = await loadRelated(context, 'ChatMessage.reactions', message.id, async (ids) => {
    const groups = new Map<number, ReactionGroup[]>(ids.map((id) => [id, []]));
    const relation = { child: 'ChatReaction', parent: 'ChatMessage', column: 'messageId' } as const;
    const columns = { by: 'emoji', collect: 'userId' } as const;
    const read = (part: number[]): Promise<ChildGroup[]> =>
      answer.read(() => groupChildren(database, relation, part, columns));
    for (const { parentId, value, members } of await inChunks(ids, MESSAGES_PER_STATEMENT, read)) {
      groups.get(parentId)?.push({ emoji: value, userIds: members });
    }
    return [...groups].map(([id, reactions]) => ({ id, reactions }));
  });
  return found?.reactions ?? [];
}

/** Returns whether the viewer is among the users who reacted. It compares ids, so that a result is shared by all subscribers who did not react. */
export function hasReacted({ viewer }: Context, { userIds }: ReactionGroup): boolean {
  return viewer.kind === 'user' && userIds.some((id) => isViewer(viewer, id));
}

/**
 * Returns the first users who reacted; batched.
 *
 * @throws {ValidationError} when `first` is negative or above {@link MAX_REACTING_USERS}
 */
export async function listReactingUsers(
  context: Context,
  { userIds }: ReactionGroup,
  first: number,
): Promise<readonly User[]> {
  if (first < 0 || first > MAX_REACTING_USERS) {
    const message = `Ensure this value is between 0 and ${MAX_REACTING_USERS}.`;
    throw new ValidationError([{ path: 'first', message }]);
  }
  const users = await Promise.all(userIds.slice(0, first).map((id) => loadUser(context, id)));
  return users.flatMap((user) => user ?? []);
}
