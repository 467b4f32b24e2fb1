import type { Context } from '../context.ts';
import { loadRelated } from '../database/batch.ts';
import type { Transaction } from '../database/client.ts';
import { findRows } from '../database/rows.ts';
import type { ChatMessage, User } from '../generated/client/client.ts';
import { loadUser } from '../identity/named-users.ts';
import { requireUser } from '../identity/rights.ts';
import { usernameKey } from '../identity/usernames.ts';

/** How many users one message mentions at most: the first ones of its text. */
const MAX_MENTIONS = 50;
/** How many texts that may be usernames are looked up for one message; all later ones are ignored. Only texts full of signs have more. */
const MAX_CANDIDATES = 500;

/** A text behind an `@` that may be a username. */
interface Candidate {
  readonly key: string;
  /** The position after it in the text. */
  readonly end: number;
}

/** An `@` of a text, and the candidates behind it, the longest first. */
export interface Start {
  readonly at: number;
  readonly candidates: readonly Candidate[];
}

/** An `@` that does not follow a letter, digit, mark or `_`, as in an email address, and the characters of usernames after it: 150 are the longest name. */
const START = /(?<![\p{L}\p{N}\p{M}_])@(?=([\p{L}\p{N}\p{M}_@.+-]{1,150}))/gu;
/** The ends of usernames in such characters: where no letter, digit, mark or `_` follows. */
const END = /(?<=.)(?![\p{L}\p{N}\p{M}_])/gsu;

/**
 * Returns each `@` of a text that may begin a mention. A name ends where no letter, digit, mark or `_` follows, so `@ann` does not mention `an`, and
 * `@ann.` mentions `ann` unless a participant is called `ann.`.
 */
export function startsOf(text: string): Start[] {
  const starts: Start[] = [];
  let count = 0;
  for (const { index, 1: name = '' } of text.matchAll(START)) {
    const begin = index + 1;
    const following = text.slice(begin + name.length, begin + name.length + 2);
    const isCutOff = /^[\p{L}\p{N}\p{M}_]/u.test(following);
    const ends = [...name.matchAll(END)].map((end) => end.index).filter((end) => end < name.length || !isCutOff);
    const candidates = ends.map((end) => ({ key: usernameKey(name.slice(0, end)), end: begin + end })).reverse();
    count += candidates.length;
    if (count > MAX_CANDIDATES) {
      break;
    }
    starts.push({ at: index, candidates });
  }
  return starts;
}

/**
 * Returns the ids of the participants of a chat whom a text of the viewer mentions, in the order of the text; at most {@link MAX_MENTIONS}. The viewer is left out:
 * nobody has to be notified of their own message.
 */
export async function findMentioned(
  { database, viewer }: Context,
  chatId: number,
  text: string,
): Promise<readonly number[]> {
  const { id: senderId } = requireUser(viewer);
  const starts = startsOf(text);
  const keys = [...new Set(starts.flatMap(({ candidates }) => candidates.map(({ key }) => key)))];
  if (keys.length === 0) {
    return [];
  }
  const participants = await findRows(database, 'User', {
    where: {
      usernameKey: { in: keys },
      OR: [{ ownedChats: { some: { id: chatId } } }, { chatMemberships: { some: { chatSessionId: chatId } } }],
    },
  });
  // The sender is left out at the end, since their name may be the longest one that fits.
  const mentioned = mentionedBy(starts, new Map(participants.map((user) => [user.usernameKey, user.id])));
  return mentioned.filter((id) => id !== senderId);
}

/** Returns the ids of the users whose names begin behind the `@` signs of a text, each once, in the order of the text; at most {@link MAX_MENTIONS}. */
export function mentionedBy(starts: readonly Start[], idsByKey: ReadonlyMap<string, number>): readonly number[] {
  const mentioned = new Set<number>();
  let readTo = 0;
  for (const { at, candidates } of starts) {
    // An `@` inside the name of the mention before it belongs to that name.
    const found = at < readTo ? undefined : candidates.find(({ key }) => idsByKey.has(key));
    if (found) {
      mentioned.add(idsByKey.get(found.key) as number);
      readTo = found.end;
    }
  }
  return [...mentioned].slice(0, MAX_MENTIONS);
}

/** Makes these users those whom the message mentions. The rows of users who were mentioned before stay as they are. */
export async function writeMentions(
  { chatMention }: Transaction,
  { id: messageId, chatSessionId }: ChatMessage,
  userIds: readonly number[],
): Promise<void> {
  const present = await chatMention.findMany({ where: { messageId }, select: { userId: true } });
  const known = new Set(present.map(({ userId }) => userId));
  const added = userIds.filter((userId) => !known.has(userId));
  if (known.size > 0) {
    await chatMention.deleteMany({ where: { messageId, userId: { notIn: [...userIds] } } });
  }
  if (added.length > 0) {
    await chatMention.createMany({ data: added.map((userId) => ({ messageId, chatSessionId, userId })) });
  }
}

/** Returns the users whom a message mentions that the viewer may see, in the order in which they were first mentioned; batched. */
export async function listMentioned(context: Context, message: ChatMessage): Promise<readonly User[]> {
  if (message.deletedAt !== null) {
    return [];
  }
  const { database } = context;
  const found = await loadRelated(context, 'ChatMessage.mentions', message.id, async (ids) => {
    const mentions = await findRows(database, 'ChatMention', {
      where: { messageId: { in: ids } },
      orderBy: [{ id: 'asc' }],
    });
    const userIds = new Map<number, number[]>(ids.map((id) => [id, []]));
    for (const { messageId, userId } of mentions) {
      userIds.get(messageId)?.push(userId);
    }
    return [...userIds].map(([id, mentioned]) => ({ id, mentioned }));
  });
  const users = await Promise.all((found?.mentioned ?? []).map((id) => loadUser(context, id)));
  return users.flatMap((user) => user ?? []);
}
