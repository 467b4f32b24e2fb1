import type { Change, ChatSnapshot } from './log.ts';
import type { RowImage } from './models.ts';

/** Who takes part in which chat, kept in memory and fed by the log, so that no event costs a query a subscriber. */
export class Memberships {
  readonly #chats = new Map<number, RowImage>();
  readonly #members = new Map<number, Set<number>>();

  constructor(snapshot: ChatSnapshot) {
    this.startOver(snapshot);
  }

  /** Forgets everything for what a snapshot says. */
  startOver({ chats, members }: ChatSnapshot): void {
    this.#chats.clear();
    this.#members.clear();
    for (const chat of chats) {
      this.#chats.set(chat.id, chat);
    }
    for (const member of members) {
      this.#join(member);
    }
  }

  /** Takes note of a change that the feed has just read. */
  apply({ model, rowId, before, after }: Change): void {
    if (model === 'ChatSession') {
      if (after) {
        this.#chats.set(rowId, after);
      } else {
        this.#chats.delete(rowId);
      }
    }
    if (model === 'ChatMember') {
      if (before) {
        this.#leave(before);
      }
      if (after) {
        this.#join(after);
      }
    }
  }

  /** The chat as it is at present. */
  chat(id: number): RowImage | undefined {
    return this.#chats.get(id);
  }

  /** Whether the user has a member row of the chat; its owner has none. */
  isMember(chatId: number, userId: number): boolean {
    return this.#members.get(chatId)?.has(userId) ?? false;
  }

  /** Whether the user takes part in the chat at present, as its owner or as a member. */
  takesPart(chatId: number, userId: number): boolean {
    return this.#chats.get(chatId)?.['ownerId'] === userId || this.isMember(chatId, userId);
  }

  /** Everybody who takes part in the chat that a change is about, or did so until it. */
  participantsIn({ model, rowId, before, after }: Change): ReadonlySet<number> {
    const participants = new Set<number>();
    if (model !== 'ChatSession' && model !== 'ChatMember') {
      return participants;
    }
    for (const image of [before, after]) {
      if (image) {
        const chatId = model === 'ChatSession' ? rowId : (image['chatSessionId'] as number);
        participants.add(image[model === 'ChatSession' ? 'ownerId' : 'userId'] as number);
        const owner = this.#chats.get(chatId)?.['ownerId'];
        if (typeof owner === 'number') {
          participants.add(owner);
        }
        for (const userId of this.#members.get(chatId) ?? []) {
          participants.add(userId);
        }
      }
    }
    return participants;
  }

  #join(member: RowImage): void {
    const chatId = member['chatSessionId'] as number;
    const users = this.#members.get(chatId) ?? new Set();
    users.add(member['userId'] as number);
    this.#members.set(chatId, users);
  }

  #leave(member: RowImage): void {
    const chatId = member['chatSessionId'] as number;
    const users = this.#members.get(chatId);
    users?.delete(member['userId'] as number);
    if (users?.size === 0) {
      this.#members.delete(chatId);
    }
  }
}
