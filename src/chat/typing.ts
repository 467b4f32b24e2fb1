import { z } from 'zod';

/** How long somebody counts as typing after the last sign of it. */
const TYPING_LIFE_MS = 5_000;
/** How often other processes are told that somebody still is. */
const PASS_INTERVAL_MS = 2_000;

type Listener = (userIds: readonly number[]) => void;

interface Typist {
  /** Ends the typing when no sign follows. */
  readonly end: NodeJS.Timeout;
  /** When the other processes heard of it, in milliseconds of the monotonic clock. */
  readonly passedAt: number;
}

interface Room {
  readonly typing: Map<number, Typist>;
  readonly listeners: Set<Listener>;
}

/** That somebody is typing in a chat, or no longer is. */
const signal = z.object({ chatId: z.int(), userId: z.int(), isTyping: z.boolean() });

/** Who is typing in which chat: told to those who listen, in this process and those that it passes signals to, and never stored. */
export class TypingSignals {
  readonly #rooms = new Map<number, Room>();
  readonly #others: ((message: string) => void)[] = [];

  /** Passes the signals of this process on to others, as lines of text; what they pass on is given to {@link take}. */
  passTo(others: (message: string) => void): void {
    this.#others.push(others);
  }

  /** Takes note of what another process passed on; anything that is no signal is left alone. */
  take(message: unknown): void {
    const { data } = signal.safeParse(parsed(message));
    if (data?.isTyping) {
      this.#begin(data.chatId, data.userId, performance.now());
    } else if (data) {
      this.#end(data.chatId, data.userId);
    }
  }

  /** Says that a user is typing; saying it again only prolongs it, and tells no listener. */
  signal(chatId: number, userId: number): void {
    const now = performance.now();
    const { passedAt = Number.NEGATIVE_INFINITY } = this.#rooms.get(chatId)?.typing.get(userId) ?? {};
    const isDue = now - passedAt >= PASS_INTERVAL_MS;
    this.#begin(chatId, userId, isDue ? now : passedAt);
    if (isDue) {
      this.#pass(chatId, userId, true);
    }
  }

  /** Says that a user is no longer typing. */
  stop(chatId: number, userId: number): void {
    if (this.#end(chatId, userId)) {
      this.#pass(chatId, userId, false);
    }
  }

  #pass(chatId: number, userId: number, isTyping: boolean): void {
    for (const others of this.#others) {
      others(JSON.stringify({ chatId, userId, isTyping }));
    }
  }

  #begin(chatId: number, userId: number, passedAt: number): void {
    const room = this.#room(chatId);
    const running = room.typing.get(userId);
    clearTimeout(running?.end);
    const end = setTimeout(() => this.#end(chatId, userId), TYPING_LIFE_MS).unref();
    room.typing.set(userId, { end, passedAt });
    if (!running) {
      this.#tell(room);
    }
  }

  /** Whether the user was typing. */
  #end(chatId: number, userId: number): boolean {
    const room = this.#rooms.get(chatId);
    clearTimeout(room?.typing.get(userId)?.end);
    if (!room?.typing.delete(userId)) {
      return false;
    }
    this.#tell(room);
    this.#forget(chatId, room);
    return true;
  }

  /** Calls back with everybody who types, at every change, until the function that it gives is called. */
  listen(chatId: number, listener: Listener): () => void {
    const room = this.#room(chatId);
    room.listeners.add(listener);
    return () => {
      room.listeners.delete(listener);
      this.#forget(chatId, room);
    };
  }

  close(): void {
    for (const room of this.#rooms.values()) {
      for (const { end } of room.typing.values()) {
        clearTimeout(end);
      }
    }
    this.#rooms.clear();
  }

  #room(chatId: number): Room {
    const room = this.#rooms.get(chatId) ?? { typing: new Map(), listeners: new Set() };
    this.#rooms.set(chatId, room);
    return room;
  }

  #tell(room: Room): void {
    const userIds = [...room.typing.keys()];
    for (const listener of room.listeners) {
      listener(userIds);
    }
  }

  #forget(chatId: number, room: Room): void {
    if (room.typing.size === 0 && room.listeners.size === 0) {
      this.#rooms.delete(chatId);
    }
  }
}

function parsed(message: unknown): unknown {
  try {
    return JSON.parse(String(message));
  } catch {
    return null;
  }
}
