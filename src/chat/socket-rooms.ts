import type { Feed } from '../changes/feed.ts';
import type { Services } from '../context.ts';
import { findRow } from '../database/rows.ts';
import { chatScope } from './scopes.ts';

/** An open chat socket, as the sender of a message that is not stored sees it. */
export interface ChatListener {
  /** Sends a frame unless the caller of the socket has lost access, or reads too slowly. */
  readonly send: (frame: Buffer) => void;
}

/** The open chat sockets of one chat in this process. */
export interface SocketRoom {
  readonly chatId: number;
  /** The uri of the chat at present. */
  readonly uri: string;
  readonly listeners: ReadonlySet<ChatListener>;
}

interface Room extends SocketRoom {
  uri: string;
  readonly listeners: Set<ChatListener>;
  /** Stops following the uri of the chat. */
  readonly release: () => void;
}

const roomsOf = new WeakMap<Feed, SocketRooms>();

/** Returns the open chat sockets of a server. */
export function socketRooms(services: Pick<Services, 'feed'>): SocketRooms {
  const known = roomsOf.get(services.feed) ?? new SocketRooms(services.feed);
  roomsOf.set(services.feed, known);
  return known;
}

/** The chats that have open chat sockets in this process. It grows with these sockets only. */
export class SocketRooms {
  readonly #feed: Feed;
  readonly #byChat = new Map<number, Room>();
  readonly #byUri = new Map<string, Room>();
  #onChange: (uri: string) => void = () => undefined;

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  /** Sets the function that is called with each uri that gets a room, and with each that no longer has one. */
  observe(onChange: (uri: string) => void): void {
    this.#onChange = onChange;
  }

  /** The number of chats with open sockets. */
  get size(): number {
    return this.#byUri.size;
  }

  /** Returns the uris of all rooms. */
  uris(): string[] {
    return [...this.#byUri.keys()];
  }

  find(uri: string): SocketRoom | undefined {
    return this.#byUri.get(uri);
  }

  /** Adds an open socket. Returns the function that removes it. */
  join({ database }: Pick<Services, 'database'>, chatId: number, uri: string, listener: ChatListener): () => void {
    const known = this.#byChat.get(chatId);
    const room = known ?? this.#open(chatId, uri);
    room.listeners.add(listener);
    if (!known) {
      // The uri may have been renewed before the room began to follow it.
      findRow(database, 'ChatSession', { id: chatId }).then(
        (chat) => this.#rename(room, chat?.uri),
        () => undefined,
      );
    }
    return () => {
      room.listeners.delete(listener);
      if (room.listeners.size === 0 && this.#byChat.get(chatId) === room) {
        this.#close(room);
      }
    };
  }

  #open(chatId: number, uri: string): Room {
    const room: Room = {
      chatId,
      uri,
      listeners: new Set(),
      release: this.#feed.onChangeOf({ model: 'ChatSession', scope: chatScope(chatId) }, ({ after }) =>
        this.#rename(room, after?.['uri']),
      ),
    };
    this.#byChat.set(chatId, room);
    this.#byUri.set(uri, room);
    this.#onChange(uri);
    return room;
  }

  #rename(room: Room, uri: unknown): void {
    const { uri: former } = room;
    if (typeof uri !== 'string' || uri === former || this.#byChat.get(room.chatId) !== room) {
      return;
    }
    this.#byUri.delete(former);
    room.uri = uri;
    this.#byUri.set(uri, room);
    this.#onChange(former);
    this.#onChange(uri);
  }

  #close({ chatId, uri, release }: Room): void {
    release();
    this.#byChat.delete(chatId);
    this.#byUri.delete(uri);
    this.#onChange(uri);
  }
}
