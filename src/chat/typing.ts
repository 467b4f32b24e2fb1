import { z } from 'zod';
import type { Feed } from '../changes/feed.ts';
import type { StreamEvent } from '../changes/filter.ts';
import type { Signals } from '../changes/signals.ts';
import type { Services } from '../context.ts';
import { chatScope } from './scopes.ts';

/** How long a user counts as typing after the last signal, in milliseconds. */
const TYPING_LIFE_MS = 5_000;
/** How often the signal of a user is sent to other processes, in milliseconds. */
const SEND_INTERVAL_MS = 2_000;

/** The users who are typing in a chat, in the order in which they began. */
export interface TypingSignal extends StreamEvent {
  readonly userIds: readonly number[];
}

type Listener = (signal: TypingSignal) => void;

/** How many topics the chats share. A process listens only to the topics of its chats. */
const TOPICS = 64;

/** Returns the topic on which processes exchange the signals of a chat. */
function topicOf(chatId: number): string {
  return `typing_${chatId % TOPICS}`;
}

interface TypingUser {
  /** Ends the typing when no other signal follows. */
  readonly timer: NodeJS.Timeout;
  /** When the signal was last sent to other processes, in milliseconds of the monotonic clock. */
  readonly sentAt: number;
}

interface Room {
  readonly typing: Map<number, TypingUser>;
  readonly listeners: Set<Listener>;
  /** Present while there are listeners: the functions that end the subscriptions of this process. */
  subscriptions: Promise<(() => void)[]> | null;
}

/** The signal that a user is typing in a chat, as processes send it to each other. */
const sentSignal = z.object({ chatId: z.int(), userId: z.int() });

const signalsOf = new WeakMap<Signals, TypingSignals>();

/** Returns the typing signals of a server. */
export function typingSignals({ signals, feed }: Pick<Services, 'signals' | 'feed'>): TypingSignals {
  const known = signalsOf.get(signals) ?? new TypingSignals(signals, feed);
  signalsOf.set(signals, known);
  return known;
}

/** Records who is typing in which chat, and sends it to the listeners in this and in other processes. It is never stored. */
export class TypingSignals {
  readonly #rooms = new Map<number, Room>();
  readonly #signals: Signals;
  readonly #feed: Feed;
  #count = 0;

  constructor(signals: Signals, feed: Feed) {
    this.#signals = signals;
    this.#feed = feed;
  }

  /** Records that a user is typing. A repeated call prolongs it without notifying listeners. */
  signal(chatId: number, userId: number): void {
    const now = performance.now();
    const { sentAt = Number.NEGATIVE_INFINITY } = this.#rooms.get(chatId)?.typing.get(userId) ?? {};
    const isDue = now - sentAt >= SEND_INTERVAL_MS;
    this.#begin(chatId, userId, isDue ? now : sentAt);
    if (isDue) {
      this.#signals.send(topicOf(chatId), JSON.stringify({ chatId, userId }));
    }
  }

  /** Records that a user is no longer typing, and notifies the listeners in this process. */
  stop(chatId: number, userId: number): void {
    const room = this.#rooms.get(chatId);
    clearTimeout(room?.typing.get(userId)?.timer);
    if (room?.typing.delete(userId)) {
      this.#notify(room);
      this.#forget(chatId, room);
    }
  }

  /** Calls the listener with all users who are typing: now, if there are any, and at every change. Returns the function that stops it. */
  async listen(chatId: number, listener: Listener): Promise<() => void> {
    const room = this.#room(chatId);
    room.listeners.add(listener);
    room.subscriptions ??= this.#subscribe(chatId);
    await room.subscriptions;
    if (room.typing.size > 0) {
      listener(this.#signalOf(room));
    }
    return () => {
      room.listeners.delete(listener);
      if (room.listeners.size === 0) {
        room.subscriptions?.then((ends) => {
          for (const end of ends) {
            end();
          }
        });
        room.subscriptions = null;
        this.#forget(chatId, room);
      }
    };
  }

  /** Subscribes to the messages of a chat, which end the typing of their authors, and to the signals of other processes. */
  #subscribe(chatId: number): Promise<(() => void)[]> {
    return Promise.all([
      this.#feed.onChangeOf({ model: 'ChatMessage', scope: chatScope(chatId) }, ({ before, after }) => {
        if (before === null && after !== null) {
          this.stop(chatId, after['userId'] as number);
        }
      }),
      this.#signals.listen(topicOf(chatId), (message) => this.#receive(message)),
    ]);
  }

  /** Applies a signal of another process if there are listeners for its chat in this process. */
  #receive(message: string): void {
    const { data } = sentSignal.safeParse(parseJson(message));
    if (data && this.#rooms.get(data.chatId)?.subscriptions) {
      this.#begin(data.chatId, data.userId, performance.now());
    }
  }

  #begin(chatId: number, userId: number, sentAt: number): void {
    const room = this.#room(chatId);
    const running = room.typing.get(userId);
    clearTimeout(running?.timer);
    const timer = setTimeout(() => this.stop(chatId, userId), TYPING_LIFE_MS).unref();
    room.typing.set(userId, { timer, sentAt });
    if (!running) {
      this.#notify(room);
    }
  }

  #room(chatId: number): Room {
    const room = this.#rooms.get(chatId) ?? { typing: new Map(), listeners: new Set(), subscriptions: null };
    this.#rooms.set(chatId, room);
    return room;
  }

  #signalOf({ typing }: Room): TypingSignal {
    this.#count += 1;
    return { key: `typing ${this.#count}`, cursor: null, userIds: [...typing.keys()] };
  }

  #notify(room: Room): void {
    const signal = this.#signalOf(room);
    for (const listener of room.listeners) {
      listener(signal);
    }
  }

  #forget(chatId: number, room: Room): void {
    if (room.typing.size === 0 && room.listeners.size === 0) {
      this.#rooms.delete(chatId);
    }
  }
}

function parseJson(message: string): unknown {
  try {
    return JSON.parse(message);
  } catch {
    return null;
  }
}
