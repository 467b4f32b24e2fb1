import type { Feed } from '../changes/feed.ts';
import type { StreamEvent } from '../changes/filter.ts';
import type { MembershipSet } from '../changes/memberships.ts';
import type { Database } from '../database/client.ts';
import { findIds } from '../database/rows.ts';
import type { PresencePeers } from './presence-peers.ts';
import { CHAT, chatScope } from './scopes.ts';

/** The shortest interval between two events of a chat, in milliseconds, and the part of it that each user of the event adds: a large chat has rarer events, since each names all users. */
const MIN_INTERVAL_MS = 1_000;
const INTERVAL_PER_USER_MS = 20;
/** How long changes are collected before an event, in milliseconds: a page that is loaded again disconnects and connects. */
const COLLECT_MS = 100;
/** How soon the state is read again after a failure, in milliseconds. */
const RETRY_MS = 1_000;

/** The participants of a chat who are online and visible, in the order of their ids. */
export interface PresenceSignal extends StreamEvent {
  readonly userIds: readonly number[];
}

type Listener = (signal: PresenceSignal) => void;

export interface PresenceRoomsOptions {
  readonly peers: PresencePeers;
  readonly feed: Feed;
  readonly database: Database;
}

/** Who is online in the chats that this process has subscriptions to. */
export class PresenceRooms {
  readonly #options: PresenceRoomsOptions;
  readonly #rooms = new Map<number, PresenceRoom>();

  constructor(options: PresenceRoomsOptions) {
    this.#options = options;
    options.feed.onAnyAccess(({ model, rowId }) => {
      // A user may have become invisible.
      if (model === 'User') {
        for (const room of this.#rooms.values()) {
          room.onUserChange(rowId);
        }
      }
    });
  }

  /** Calls the listener with all users who are online: now, and after each change. Returns the function that stops it. */
  async listen(chatId: number, listener: Listener): Promise<() => void> {
    const room = this.#rooms.get(chatId) ?? new PresenceRoom(chatId, this.#options);
    this.#rooms.set(chatId, room);
    const stop = (): void => {
      room.listeners.delete(listener);
      if (room.listeners.size === 0 && this.#rooms.get(chatId) === room) {
        this.#rooms.delete(chatId);
        room.close();
      }
    };
    room.listeners.add(listener);
    try {
      listener(await room.current());
    } catch (error) {
      stop();
      throw error;
    }
    return stop;
  }
}

/** Who is online in one chat. */
class PresenceRoom {
  readonly listeners = new Set<Listener>();
  readonly #chatId: number;
  readonly #options: PresenceRoomsOptions;
  readonly #opened: Promise<PresenceSignal>;
  readonly #followed = new Set<number>();
  readonly #onChange = (): void => this.#schedule(COLLECT_MS);
  #participants: MembershipSet | null = null;
  #stopListening = (): void => undefined;
  #timer: NodeJS.Timeout | null = null;
  #signal: PresenceSignal | null = null;
  #sentAt = Number.NEGATIVE_INFINITY;
  #count = 0;
  #isReading = false;
  #isStale = false;
  #isClosed = false;

  constructor(chatId: number, options: PresenceRoomsOptions) {
    this.#chatId = chatId;
    this.#options = options;
    this.#opened = this.#open();
    // Each listener handles the failure; without any, it must not count as unhandled.
    this.#opened.catch(() => undefined);
  }

  /** Returns the latest state. */
  async current(): Promise<PresenceSignal> {
    const first = await this.#opened;
    return this.#signal ?? first;
  }

  /** Reads the state again if the user is a participant. */
  onUserChange(userId: number): void {
    if (this.#followed.has(userId)) {
      this.#onChange();
    }
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer ?? undefined);
    this.#stopListening();
    this.#participants?.release();
    this.#options.peers.unfollow(this.#followed, this.#onChange);
    this.#followed.clear();
  }

  async #open(): Promise<PresenceSignal> {
    const { feed } = this.#options;
    this.#stopListening = feed.onAccess([chatScope(this.#chatId)], this.#onChange);
    this.#participants = await feed.memberships.useGroup(CHAT, this.#chatId);
    if (this.#isClosed) {
      this.#participants.release();
    }
    return this.#read();
  }

  /** Reads the state and remembers it. Changes during a read lead to another one after it. */
  async #read(): Promise<PresenceSignal> {
    this.#isReading = true;
    this.#isStale = false;
    try {
      return await this.#readOnce();
    } finally {
      this.#isReading = false;
      if (this.#isStale) {
        this.#onChange();
      }
    }
  }

  async #readOnce(): Promise<PresenceSignal> {
    const { peers, database } = this.#options;
    await this.#followParticipants();
    const online = [...this.#followed].filter((id) => peers.isConnected(id));
    const where = { id: { in: online }, presence: 'VISIBLE' };
    const userIds = online.length === 0 ? [] : await findIds(database, 'User', { where, orderBy: [{ id: 'asc' }] });
    this.#count += 1;
    this.#signal = { key: `presence ${this.#chatId} ${this.#count}`, cursor: null, userIds };
    this.#sentAt = performance.now();
    return this.#signal;
  }

  async #followParticipants(): Promise<void> {
    const { peers } = this.#options;
    const present = new Set(this.#isClosed ? [] : this.#participants?.ids());
    const left = [...this.#followed].filter((id) => !present.has(id));
    peers.unfollow(left, this.#onChange);
    for (const id of left) {
      this.#followed.delete(id);
    }
    const joined = [...present].filter((id) => !this.#followed.has(id));
    for (const id of joined) {
      this.#followed.add(id);
    }
    await peers.follow(joined, this.#onChange);
  }

  #schedule(delayMs: number): void {
    if (this.#isReading) {
      this.#isStale = true;
      return;
    }
    if (this.#isClosed || this.#timer) {
      return;
    }
    const users = this.#signal?.userIds.length ?? 0;
    const nextAt = this.#sentAt + Math.max(MIN_INTERVAL_MS, users * INTERVAL_PER_USER_MS);
    const wait = Math.max(delayMs, nextAt - performance.now());
    this.#timer = setTimeout(() => void this.#update().catch(() => this.#retry()), wait).unref();
  }

  async #update(): Promise<void> {
    this.#timer = null;
    const before = this.#signal?.userIds.join();
    const signal = await this.#read();
    if (!this.#isClosed && signal.userIds.join() !== before) {
      for (const listener of this.listeners) {
        listener(signal);
      }
    }
  }

  #retry(): void {
    this.#schedule(RETRY_MS);
  }
}
