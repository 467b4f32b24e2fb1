import { z } from 'zod';
import type { StreamEvent } from '../changes/filter.ts';

/** How long somebody counts as typing after the last signal, in milliseconds. */
const TYPING_LIFE_MS = 5_000;
/** How often other processes are notified that somebody still is, in milliseconds. */
const PASS_INTERVAL_MS = 2_000;

/** Who is typing in a chat at this moment, in the order in which they began. */
export interface TypingSignal extends StreamEvent {
  readonly userIds: readonly number[];
}

type Listener = (signal: TypingSignal) => void;

/** How many topics the chats share: a node listens only to those of its chats. */
const TOPICS = 64;

/** The topic on which nodes exchange the signals of a chat. */
export function typingTopic(chatId: number): string {
  return `typing_${chatId % TOPICS}`;
}

/** What a room needs while somebody listens: resolves when that is in place, with the function that ends it. */
type OpenRoom = (chatId: number) => Promise<() => void>;

interface Typist {
  /** Ends the typing when no signal follows. */
  readonly timer: NodeJS.Timeout;
  /** When the other processes were notified, in milliseconds of the monotonic clock. */
  readonly passedAt: number;
}

interface Room {
  readonly typists: Map<number, Typist>;
  readonly listeners: Set<Listener>;
  /** Present while somebody listens. */
  opened: Promise<(() => void)[]> | null;
}

/** That somebody is typing in a chat. */
const passedSignal = z.object({ chatId: z.int(), userId: z.int() });

/** Who is typing in which chat: sent to those who listen, in this process and the others that it passes signals to, and never stored. */
export class TypingSignals {
  readonly #rooms = new Map<number, Room>();
  readonly #passOn: ((chatId: number, message: string) => void)[] = [];
  readonly #openRoom: OpenRoom[] = [];
  #signals = 0;

  /** Passes the signals of this process on to others, as lines of text; what they pass on is given to {@link receive}. */
  passTo(passOn: (chatId: number, message: string) => void): void {
    this.#passOn.push(passOn);
  }

  /** Has something done for each chat as long as somebody here listens to it. */
  whileListening(open: OpenRoom): void {
    this.#openRoom.push(open);
  }

  /** Takes a signal that another process passed on, where somebody here listens; anything else is ignored. */
  receive(message: unknown): void {
    const { data } = passedSignal.safeParse(parseJson(message));
    if (data && this.#rooms.get(data.chatId)?.opened) {
      this.#begin(data.chatId, data.userId, performance.now());
    }
  }

  /** Says that a user is typing; saying it again only prolongs it, and notifies no listener. */
  signal(chatId: number, userId: number): void {
    const now = performance.now();
    const { passedAt = Number.NEGATIVE_INFINITY } = this.#rooms.get(chatId)?.typists.get(userId) ?? {};
    const isDue = now - passedAt >= PASS_INTERVAL_MS;
    this.#begin(chatId, userId, isDue ? now : passedAt);
    if (isDue) {
      const message = JSON.stringify({ chatId, userId });
      for (const passOn of this.#passOn) {
        passOn(chatId, message);
      }
    }
  }

  /** Says that a user is no longer typing, to those who listen in this process. */
  stop(chatId: number, userId: number): void {
    const room = this.#rooms.get(chatId);
    clearTimeout(room?.typists.get(userId)?.timer);
    if (room?.typists.delete(userId)) {
      this.#notify(room);
      this.#forget(chatId, room);
    }
  }

  /** Calls back with everybody who types, now if somebody does and at every change, until the function that it returns is called. */
  async listen(chatId: number, listener: Listener): Promise<() => void> {
    const room = this.#room(chatId);
    room.listeners.add(listener);
    room.opened ??= Promise.all(this.#openRoom.map((open) => open(chatId)));
    await room.opened;
    if (room.typists.size > 0) {
      listener(this.#signalOf(room));
    }
    return () => {
      room.listeners.delete(listener);
      if (room.listeners.size === 0) {
        room.opened?.then((closes) => {
          for (const close of closes) {
            close();
          }
        });
        room.opened = null;
        this.#forget(chatId, room);
      }
    };
  }

  close(): void {
    for (const room of this.#rooms.values()) {
      for (const { timer } of room.typists.values()) {
        clearTimeout(timer);
      }
    }
    this.#rooms.clear();
  }

  #begin(chatId: number, userId: number, passedAt: number): void {
    const room = this.#room(chatId);
    const running = room.typists.get(userId);
    clearTimeout(running?.timer);
    const timer = setTimeout(() => this.stop(chatId, userId), TYPING_LIFE_MS).unref();
    room.typists.set(userId, { timer, passedAt });
    if (!running) {
      this.#notify(room);
    }
  }

  #room(chatId: number): Room {
    const room = this.#rooms.get(chatId) ?? { typists: new Map(), listeners: new Set(), opened: null };
    this.#rooms.set(chatId, room);
    return room;
  }

  #signalOf({ typists }: Room): TypingSignal {
    this.#signals += 1;
    return { key: `typing ${this.#signals}`, cursor: null, userIds: [...typists.keys()] };
  }

  #notify(room: Room): void {
    const signal = this.#signalOf(room);
    for (const listener of room.listeners) {
      listener(signal);
    }
  }

  #forget(chatId: number, room: Room): void {
    if (room.typists.size === 0 && room.listeners.size === 0) {
      this.#rooms.delete(chatId);
    }
  }
}

function parseJson(message: unknown): unknown {
  try {
    return JSON.parse(String(message));
  } catch {
    return null;
  }
}
